import { Worker } from 'node:worker_threads'
import type { CheckpointAnswer, CheckpointOrder } from './checkpoint-messages.ts'

/** A store that is open for a shorter time than this gets no help by default, in milliseconds. */
const WORTH_HELP_MS = 500

export interface CheckpointsOptions {
  /** How long the store has to be open before the help comes, in milliseconds. Default 500. */
  readonly afterMs?: number
  /** Told when a checkpoint met an error of the disk; the store gets no more help. Default: nobody is told. */
  onFailed?(): void
}

/** Checkpoints of one store that another thread takes. */
export interface Checkpoints {
  /** Resolves when the other thread has closed the file. To be awaited before the store itself is closed. */
  stop(): Promise<void>
}

/**
 * Has the checkpoints of an open store (WAL mode) taken by another thread, so that its writer does not stand still
 * while megabytes are copied and synced. The writer's own checkpoint, after the commit that makes the write-ahead log
 * long enough, stays: it finds little left to do and lets the log begin anew, which only a writer can. Without the
 * other thread everything goes on as it does in any store.
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

/** @returns how it is ended; undefined if there is none, because the system gives no further thread at the moment */
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
  /** Who waits until a store is left. */
  readonly #leaving = new Map<number, () => void>()
  /** Who is told when a checkpoint of a store fails. */
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
    // It is a help, not a duty: whatever it fails with, the stores get on by themselves.
    this.#thread.on('error', () => {})
    this.#thread.on('exit', () => {
      this.#gone = true
      if (shared === this) shared = undefined
      for (const id of [...this.#leaving.keys()]) this.#left(id)
    })
  }

  /** @returns how it is ended */
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
    // The process does not end before those who wait have gone on.
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
