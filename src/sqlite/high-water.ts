import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'

/**
 * Remembers, beside a store, how far the store has come. A write-ahead log that was cut short or damaged ends, for
 * SQLite, where its last whole commit ends: what came after vanishes without an error. With the mark it is noticed.
 *
 * The mark is written after each commit and never synced. So it can be older than the store, after a power cut or
 * if it is lost, and then claims less; it is never ahead of what was acknowledged.
 */
export class HighWater {
  readonly #file: number
  #written = 0

  /** @param store path of the store's file; the mark lies beside it, in `<store>-mark` */
  constructor(store: string) {
    // Written at its beginning, which a file that is opened for appending cannot be.
    closeSync(openSync(markPath(store), 'a', 0o600))
    this.#file = openSync(markPath(store), 'r+')
    this.#written = readHighWater(store)
  }

  /** The store holds everything up to `mark`. Never throws: a mark that could not be written claims less. */
  reached(mark: number): void {
    if (mark <= this.#written) return
    try {
      writeSync(this.#file, `${String(mark).padStart(20, '0')}\n`, 0)
      this.#written = mark
    } catch {
      // The disk is full or broken; the next request meets that, and says so.
    }
  }
}

/** How far a store has come according to its mark; 0 if there is none. */
export function readHighWater(store: string): number {
  try {
    const text = readFileSync(markPath(store), 'utf8')
    return /^\d{20}\n/.test(text) ? Number(text.slice(0, 20)) : 0
  } catch {
    return 0
  }
}

/** Removes the mark of a store that begins anew. */
export function forgetHighWater(store: string): void {
  rmSync(markPath(store), { force: true })
}

/** Where the mark of a store lies. */
export function markPath(store: string): string {
  return `${store}-mark`
}
