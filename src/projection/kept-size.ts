/** One of so many documents is measured: to measure each would cost a build a tenth of its speed. */
const EVERY = 13

/** Measured documents after which the older ones count half, since documents may grow. */
const RECENT = 64

/** About how many bytes of memory documents take, from a sample of those that were read and changed last. */
export class KeptSize {
  #noted = 0
  #measured = 0
  #bytes = 0

  /** A document is kept; null and undefined are none. */
  note(document: unknown): void {
    this.#noted += 1
    // The first one in any case, so that something is known.
    if (this.#noted % EVERY !== 1 || document === undefined || document === null) return
    if (this.#measured >= RECENT) {
      this.#measured /= 2
      this.#bytes /= 2
    }
    this.#measured += 1
    this.#bytes += bytesOf(document)
  }

  /** What so many documents take; 0 while none was measured. */
  of(documents: number): number {
    return this.#measured === 0 ? 0 : documents * (this.#bytes / this.#measured)
  }
}

/** About what a value of JSON takes in memory. */
function bytesOf(value: unknown): number {
  if (typeof value === 'string') return 24 + value.length
  if (typeof value !== 'object' || value === null) return 8
  return Object.values(value).reduce<number>((sum, part) => sum + 16 + bytesOf(part), 32)
}
