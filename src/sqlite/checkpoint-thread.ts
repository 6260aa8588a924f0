import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { parentPort } from 'node:worker_threads'
import type { CheckpointAnswer, CheckpointOrder } from './checkpoint-messages.ts'
import { isDiskError } from './errors.ts'
import { existingStore } from './store-files.ts'

/**
 * Pages of a write-ahead log that are worth a checkpoint, 4 MB: few enough to be synced in a moment, and enough for
 * the pages that change with each commit to be copied once for many.
 */
const WORTH_PAGES = 1_000

/** Between two looks at a store that is written to, in milliseconds. A log of 10,000 pages takes a second at the least. */
const SHORTEST_MS = 20

/** Between two looks at a store that rests. */
const LONGEST_MS = 320

/** One store: how far its write-ahead log is, and the checkpoint that is due. */
class Watched {
  readonly #db: DatabaseSync
  readonly #look: StatementSync
  readonly #checkpoint: StatementSync
  #pages = 0

  constructor(path: string) {
    // One that was removed since its writer opened it must not be there again, empty.
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
    // What cannot be opened here is not looked after; its writer takes its own checkpoints.
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
      // Locked, damaged, or the disk is full: its writer meets that itself.
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
