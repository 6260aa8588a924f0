import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'

/**
 * Records, in a file beside a store, how far the store has got. If a write-ahead log was cut short or damaged, SQLite
 * takes its last intact commit for its end: everything after that vanishes without an error. The mark shows it.
 *
 * The mark is written after each commit and never synced. So after a power cut, or if it is lost, it can record less
 * than the store holds. It never records more than was committed.
 */
export class HighWater {
  readonly #file: number
  #written = 0

  /** @param store path of the store's file; the mark is beside it, in `<store>-mark` */
  constructor(store: string) {
    // Created with "a", but opened again with "r+": a file opened for appending cannot be written at its beginning.
    closeSync(openSync(markPath(store), 'a', 0o600))
    this.#file = openSync(markPath(store), 'r+')
    this.#written = readHighWater(store)
  }

  /**
   * Records that the store holds everything up to `mark`. Never throws: if the mark cannot be written, it only records
   * less.
   */
  reached(mark: number): void {
    if (mark <= this.#written) return
    try {
      writeSync(this.#file, `${String(mark).padStart(20, '0')}\n`, 0)
      this.#written = mark
    } catch {
      // The disk is full or broken; the next request meets the same error and reports it.
    }
  }
}

/** How far a store has got according to its mark; 0 if there is no mark. */
export function readHighWater(store: string): number {
  try {
    const text = readFileSync(markPath(store), 'utf8')
    return /^\d{20}\n/.test(text) ? Number(text.slice(0, 20)) : 0
  } catch {
    return 0
  }
}

/** Removes the mark of a store that is started again from nothing. */
export function forgetHighWater(store: string): void {
  rmSync(markPath(store), { force: true })
}

/** The path of a store's mark. */
export function markPath(store: string): string {
  return `${store}-mark`
}
