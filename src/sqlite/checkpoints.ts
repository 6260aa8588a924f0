import { Worker } from 'node:worker_threads'
import type { CheckpointAnswer, CheckpointOrder } from './checkpoint-messages.ts'

/** A store that is open for a shorter time than this gets no helper thread by default, in milliseconds. */
const WORTH_HELP_MS = 500

export interface CheckpointsOptions {
  /** How long the store has to be open before the helper thread takes over, in milliseconds. Default 500. */
  readonly afterMs?: number
  /** Called when a checkpoint met a disk error; the store then gets no more help. Default: does nothing. */
  onFailed?(): void
}

/** The checkpoints that another thread takes for one store. */
export interface Checkpoints {
  /** Resolves when the other thread has closed the file. Await this before closing the store itself. */
  stop(): Promise<void>
}

/**
 * Lets another thread take the checkpoints of an open store (WAL mode), so that the store's writer does not stand still
 * while megabytes are copied and synced. The writer keeps its own checkpoint, after the commit that makes the
 * write-ahead log long enough: that one finds little left to copy, and lets the log restart at its beginning, which
 * only a writer can do. Without the other thread the store still works as any other does.
 *
 * One thread serves all stores that a thread of the process writes to.
 *
 * @param path of the store's file
 */
export function takeCheckpointsAside(
  path: string,
  { afterMs = WORTH_HELP_MS, onFailed = () => undefined }: CheckpointsOptions = {},
): Checkpoints {
  let stop: (() => Promise<void>) | undefined
  const patience = setTimeout(() => {
    stop = help(path, onFailed)
  }, afterMs)
  patience.unref()
  return {
    async stop() {
      clearTimeout(patience)
      await stop?.()
    },
  }
}

let shared: Helper | undefined

/** @returns a function that ends it; undefined if the system starts no further thread at the moment */
function help(path: string, onFailed: () => void): (() => Promise<void>) | undefined {
  try {
    shared ??= new Helper()
  } catch {
    return undefined
  }
  return shared.watch(path, onFailed)
}

class Helper {
  readonly #thread: Worker
  /** By id of a store: who waits until the thread has closed it. */
  readonly #leaving = new Map<number, () => void>()
  /** By id of a store: who is told when a checkpoint fails. */
  readonly #watched = new Map<number, () => void>()
  #ids = 0
  #gone = false

  constructor() {
    this.#thread = new Worker(new URL('./checkpoint-thread.ts', import.meta.url))
    this.#thread.unref()
    this.#thread.on('message', ({ kind, id }: CheckpointAnswer) => {
      if (kind === 'left') this.#left(id)
      else this.#watched.get(id)?.()
    })
    // The thread is only a help: whatever error it fails with, the stores work without it.
    this.#thread.on('error', () => {})
    this.#thread.on('exit', () => {
      this.#gone = true
      if (shared === this) shared = undefined
      for (const id of [...this.#leaving.keys()]) this.#left(id)
    })
  }

  /** @returns a function that ends it */
  watch(path: string, onFailed: () => void): () => Promise<void> {
    this.#ids += 1
    const id = this.#ids
    this.#watched.set(id, onFailed)
    this.#send({ kind: 'watch', id, path })
    return () => this.#leave(id)
  }

  async #leave(id: number): Promise<void> {
    this.#watched.delete(id)
    if (this.#gone || this.#leaving.has(id)) return
    const left = new Promise<void>((resolve) => this.#leaving.set(id, resolve))
    this.#send({ kind: 'leave', id })
    // Keeps the process alive until those who wait were told.
    this.#thread.ref()
    await left
  }

  #left(id: number): void {
    this.#leaving.get(id)?.()
    this.#leaving.delete(id)
    if (this.#leaving.size === 0) this.#thread.unref()
  }

  #send(order: CheckpointOrder): void {
    this.#thread.postMessage(order)
  }
}
