/**
 * Packs results that are pairs of numbers into one array for another thread. The array is copied in one go, while
 * copying each pair by itself takes most of a microsecond.
 *
 * @returns undefined if any result is something else
 */
export function packPairs(results: readonly unknown[]): Float64Array | undefined {
  if (!results.every(isPair)) return undefined
  const packed = new Float64Array(2 * results.length)
  for (let index = 0; index < results.length; index += 1) {
    const [one, other] = results[index] as readonly [number, number]
    packed[2 * index] = one
    packed[2 * index + 1] = other
  }
  return packed
}

/** The pair at `index`. */
export function pairAt(packed: Float64Array, index: number): [number, number] {
  return [packed[2 * index] as number, packed[2 * index + 1] as number]
}

function isPair(result: unknown): result is readonly [number, number] {
  if (!Array.isArray(result) || result.length !== 2) return false
  return typeof result[0] === 'number' && typeof result[1] === 'number'
}
