/** One part of a partitioned projection. */
export interface Partition {
  /** Starts at 0. */
  readonly index: number
  /** How many there are. */
  readonly count: number
}

/** Whether the events of a stream belong to a partition. */
export function isIn(stream: string, { index, count }: Partition): boolean {
  return count === 1 || partitionOf(stream, count) === index
}

/**
 * The partition of a stream's events; the same in every process, for ever. The hash is FNV-1a over the UTF-16 code
 * units (Fowler, Noll, Vo, http://www.isthe.com/chongo/tech/comp/fnv/), followed by the final mixing step of
 * MurmurHash3 (Austin Appleby), because names that differ only in their last character would otherwise share their high
 * bits.
 */
export function partitionOf(stream: string, count: number): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < stream.length; index += 1) {
    hash = Math.imul(hash ^ stream.charCodeAt(index), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) % count
}
