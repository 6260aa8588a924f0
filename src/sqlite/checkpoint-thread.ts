import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { parentPort } from 'node:worker_threads'
import type { CheckpointAnswer, CheckpointOrder } from './checkpoint-messages.ts'
import { isDiskError } from './errors.ts'
import { existingStore } from './store-files.ts'

/**
 * How many pages of a write-ahead log make a checkpoint worthwhile: 4 MB. Few enough to be synced in a moment, and
 * enough that pages which change with each commit are copied once for many commits.
 */
const WORTH_PAGES = 1_000

/**
 * Time between two looks at a store that is being written to, in milliseconds. Filling a log of 10,000 pages takes at
 * least a second.
 */
const SHORTEST_MS = 20

/** Longest time between two looks while no store is written to, in milliseconds. */
const LONGEST_MS = 320

/** One store: the length of its write-ahead log, and the checkpoint that may be due. */
class Watched {
  readonly #db: DatabaseSync
  readonly #look: StatementSync
  readonly #checkpoint: StatementSync
  #pages = 0

  constructor(path: string) {
    // If the file was removed after its writer opened it, it must not be created again, empty.
    this.#db = new DatabaseSync(existingStore(path), { timeout: 0 })
    try {
      this.#db.exec('PRAGMA wal_autocheckpoint = 0')
      this.#look = this.#db.prepare('PRAGMA wal_checkpoint(NOOP)')
      this.#checkpoint = this.#db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
    } catch (error) {
      this.#db.close()
      throw error
    }
  }

  /** @returns whether the store was written to since the last look */
  look(): boolean {
    const { log, checkpointed } = this.#look.get() as { log: number; checkpointed: number }
    if (log - checkpointed >= WORTH_PAGES) this.#checkpoint.get()
    const grew = log !== this.#pages
    this.#pages = log
    return grew
  }

  close(): void {
    this.#db.close()
  }
}

const port = parentPort
if (!port) throw new Error('This module runs in a worker thread only.')
const stores = new Map<number, Watched>()
let pause = SHORTEST_MS
let looking = false

port.on('message', (order: CheckpointOrder) => {
  if (order.kind === 'watch') {
    // A store that cannot be opened here gets no help; its writer takes its own checkpoints.
    attempt(() => stores.set(order.id, new Watched(order.path)))
    if (!looking) lookAtAll()
    return
  }
  leave(order.id, 'left')
})

function leave(id: number, kind: CheckpointAnswer['kind']): void {
  attempt(() => stores.get(id)?.close())
  stores.delete(id)
  port?.postMessage({ kind, id } satisfies CheckpointAnswer)
}

function lookAtAll(): void {
  let grew = false
  for (const [id, store] of stores) {
    try {
      if (store.look()) grew = true
    } catch (error) {
      // Locked, damaged, or the disk is full: the store's writer meets the same error.
      if (isDiskError(error)) leave(id, 'failed')
    }
  }
  pause = grew ? SHORTEST_MS : Math.min(2 * pause, LONGEST_MS)
  looking = stores.size > 0
  if (looking) setTimeout(lookAtAll, pause)
}

function attempt<Result>(work: () => Result): Result | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
