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
  /** Called once at the start of each transaction, to forget what an earlier, failed one had read. */
  begin?: () => void
  /**
   * Carries out one request inside the open transaction. An expected outcome is returned; what it
   * throws fails this request alone.
   */
  execute(request: Request): Result
  /** Called after the last request, before the commit, to write what the requests share. */
  prepare?: () => void
  /** Called after the commit, to keep in memory what it stored. Must not throw: the requests are stored. */
  committed?: () => void
}

/**
 * Runs in a writer thread: takes each batch of {@link GroupCommit}, carries it out as one transaction
 * and answers after its fsync. If a request throws, the batch is rolled back and each request runs in a
 * transaction of its own, so that a bad one fails alone. If the store fails (the disk is full or broken),
 * all fail at once: a thousand further tries would only keep everybody waiting.
 *
 * A checkpoint that meets an error of the disk ends the thread, and with it the one that takes checkpoints aside: the
 * next thread opens the store anew, which has everything copied again (see copy-again.ts).
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
      throw new Error('A checkpoint failed with an error of the disk.')
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
