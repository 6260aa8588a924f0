/** Only one in this many values is measured. Measuring every document would cost a rebuild a tenth of its speed. */
const EVERY = 13

/** After this many measured values, those so far count only half, because values may grow. */
const RECENT = 64

/** Estimates how much memory the JSON values in a cache take, from a sample of those that were read or changed last. */
export class KeptSize {
  #noted = 0
  #measured = 0
  #bytes = 0

  /** Notes that a value is kept. Null and undefined do not count. */
  note(value: unknown): void {
    this.#noted += 1
    // Begins with the first one, so that there is an estimate early.
    if (this.#noted % EVERY !== 1 || value === undefined || value === null) return
    if (this.#measured >= RECENT) {
      this.#measured /= 2
      this.#bytes /= 2
    }
    this.#measured += 1
    this.#bytes += bytesOf(value)
  }

  /** About how many bytes this many values take; 0 as long as none was measured. */
  of(values: number): number {
    return this.#measured === 0 ? 0 : values * (this.#bytes / this.#measured)
  }
}

/** About how many bytes a JSON value takes in memory. */
function bytesOf(value: unknown): number {
  if (typeof value === 'string') return 24 + value.length
  if (typeof value !== 'object' || value === null) return 8
  return Object.values(value).reduce<number>((sum, part) => sum + 16 + bytesOf(part), 32)
}
