import { isPlain } from '../kernel/plain.ts'

/** Types of values that JSON cannot represent, so that different values would give the same text. */
const UNTOLD: ReadonlySet<string> = new Set(['bigint', 'function', 'symbol'])

/**
 * JSON with the keys of every object in a fixed order, so that equal values give equal text.
 *
 * @returns undefined if some part cannot be told from others by its JSON, such as a Map or a bigint
 */
export function canonicalJson(value: unknown): string | undefined {
  let isTold = true
  const text = JSON.stringify(value, (_, part: unknown) => {
    const isObject = typeof part === 'object' && part !== null
    if (UNTOLD.has(typeof part) || (isObject && !isPlain(part))) {
      isTold = false
      return null
    }
    if (!isObject || Array.isArray(part)) return part
    const entries = Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1))
    return Object.fromEntries(entries)
  })
  return isTold ? text : undefined
}
