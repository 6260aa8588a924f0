import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { isCqrsError } from '../kernel/errors.ts'
import { takeCheckpointsAside } from './checkpoints.ts'
import { isStoreFailure, toStoreError } from './errors.ts'
import type { FailedReply, FromThread, Reply, ToThread } from './group-commit.ts'
import { ownCheckpoint } from './own-checkpoint.ts'
import { packPairs } from './pairs.ts'

/** What one store does in its writer thread. */
export interface CommitHandler<Request, Result> {
  db: DatabaseSync
  path: string
  /** Called before each transaction, to forget what an earlier one that failed had read. */
  begin?: () => void
  /**
   * Executes one request inside the open transaction. Expected outcomes are returned. If it throws, only this request
   * fails.
   */
  execute(request: Request): Result
  /** Called after the last request, before the commit, to write what the requests have in common. */
  prepare?: () => void
  /**
   * Called after the commit, to update memory with what was stored. Must not throw: the requests are already stored.
   */
  committed?: () => void
}

/**
 * Runs in a writer thread: executes each batch of {@link GroupCommit} as one transaction and answers after its fsync.
 * If a request throws, the batch is rolled back and each request runs in a transaction of its own, so that only the bad
 * one fails. If the store itself fails (the disk is full or broken), all requests fail at once: trying a thousand of
 * them again would only keep everybody waiting.
 *
 * If a checkpoint meets a disk error, this thread ends, and with it the thread that helps with checkpoints. The next
 * writer thread opens the store again, which has the whole write-ahead log copied again (see copy-again.ts).
 *
 * @param open makes the handler from the options that were given to the GroupCommit
 */
export function serveCommits<Options, Request, Result>(
  open: (options: Options) => CommitHandler<Request, Result>,
): void {
  const port = parentPort
  if (!port) throw new Error('serveCommits runs in a worker thread only')
  const send = (message: FromThread<Result>) => port.postMessage(message)
  let handler: CommitHandler<Request, Result>
  try {
    handler = open(workerData as Options)
  } catch (error) {
    const { path = 'of the writer thread' } = workerData as { path?: string }
    send({ kind: 'failed-to-open', error: describe(toStoreError(error, path)) })
    return
  }
  const checkpoint = ownCheckpoint(handler.db)
  const checkpoints = takeCheckpointsAside(handler.path, {
    onFailed() {
      throw new Error('A checkpoint failed with a disk error.')
    },
  })
  send({ kind: 'ready' })
  port.on('message', (message: ToThread<Request>) => {
    if (message.kind === 'batch') {
      send(commit(handler, message.requests))
      return checkpoint()
    }
    checkpoints.stop().then(() => {
      handler.db.close()
      port.close()
    })
  })
}

type Answered<Result> = Extract<FromThread<Result>, { kind: 'results' | 'pairs' | 'replies' }>

function commit<Request, Result>(
  handler: CommitHandler<Request, Result>,
  requests: Request[],
): Answered<Result> {
  try {
    const results = transaction(handler, requests)
    const pairs = packPairs(results)
    return pairs ? { kind: 'pairs', pairs } : { kind: 'results', results }
  } catch (error) {
    if (requests.length === 1 || isStoreFailure(error)) {
      const failure = describe(toStoreError(error, handler.path))
      return { kind: 'replies', replies: requests.map(() => ({ ok: false, error: failure })) }
    }
    return { kind: 'replies', replies: requests.map((request) => alone(handler, request)) }
  }
}

function alone<Request, Result>(handler: CommitHandler<Request, Result>, request: Request): Reply<Result> {
  try {
    const [value] = transaction(handler, [request]) as [Result]
    return { ok: true, value }
  } catch (error) {
    return { ok: false, error: describe(toStoreError(error, handler.path)) }
  }
}

function transaction<Request, Result>(
  handler: CommitHandler<Request, Result>,
  requests: Request[],
): Result[] {
  const { db } = handler
  handler.begin?.()
  db.exec('BEGIN IMMEDIATE')
  let results: Result[]
  try {
    results = requests.map((request) => handler.execute(request))
    handler.prepare?.()
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
  handler.committed?.()
  return results
}

function describe(error: unknown): FailedReply {
  const message = error instanceof Error ? error.message : String(error)
  if (isCqrsError(error)) return { code: error.code, message, details: { ...error.details } }
  return { code: undefined, message, details: {} }
}
