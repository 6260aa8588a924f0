/** At most one in this many values is measured. Measuring every document would cost a rebuild a tenth of its speed. */
const EVERY = 13

/** How many parts of values are measured for each value noted, on average: the larger they are, the fewer are measured. */
const PARTS_PER_NOTE = 8

/** After this many measured values, those so far count only half, because values may grow. */
const RECENT = 64

/** Estimates how much memory the JSON values in a cache take, from a sample of those that were read or changed last. */
export class KeptSize {
  /** How many values are not measured until the next one is. */
  #skipped = 0
  #measured = 0
  #bytes = 0

  /** Notes that a value is kept. Null and undefined do not count. */
  note(value: unknown): void {
    // Begins with the first one, so that there is an estimate early.
    if (this.#skipped > 0) this.#skipped -= 1
    else if (value !== undefined && value !== null) this.#measure(value)
  }

  #measure(value: unknown): void {
    const { bytes, parts } = sizeOf(value)
    this.#skipped = Math.max(EVERY - 1, Math.floor(parts / PARTS_PER_NOTE))
    if (this.#measured >= RECENT) {
      this.#measured /= 2
      this.#bytes /= 2
    }
    this.#measured += 1
    this.#bytes += bytes
  }

  /** About how many bytes this many values take; 0 as long as none was measured. */
  of(values: number): number {
    return this.#measured === 0 ? 0 : values * (this.#bytes / this.#measured)
  }
}

/**
 * About how many bytes a value takes in memory, and of how many parts it consists. It need not be JSON: what a decider
 * folds may contain itself, nest deeply, or hold a `Map`.
 */
function sizeOf(value: unknown): { bytes: number; parts: number } {
  const seen = new Set<object>()
  const left = [value]
  let bytes = 0
  let parts = 0
  while (left.length > 0) {
    const part = left.pop()
    parts += 1
    if (typeof part === 'string') bytes += 24 + part.length
    else if (typeof part !== 'object' || part === null) bytes += 8
    else if (!seen.has(part)) {
      seen.add(part)
      bytes += 32
      for (const inner of partsOf(part)) {
        bytes += 16
        left.push(inner)
      }
    }
  }
  return { bytes, parts }
}

function partsOf(value: object): Iterable<unknown> {
  if (value instanceof Map) return [...value].flat()
  return value instanceof Set ? value : Object.values(value)
}
