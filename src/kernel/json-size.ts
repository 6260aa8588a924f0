/**
 * The largest frame that the engine takes from a worker, in bytes, less what it has besides the answer or the payload in it. A
 * larger one has the engine cut the link of the worker, with everything that its process serves.
 */
export const FRAME_ROOM = 16_777_216 - 65_536

/**
 * Characters of JSON that the items of one page have at the most. A quarter of what the engine takes: an answer that travels as a
 * text is up to twice as large, and there is more in it than the items.
 */
export const PAGE_CHARACTERS = 4_194_304

/** Deepest nesting of what is stored and shown: the engine refuses a frame with more than 127 levels, its own included. */
export const MAX_DEPTH = 100

/** The most bytes of JSON that a character of a text can take: `\u0001`. */
const BYTES_PER_CHARACTER = 6

/** More than a number, a word, or the marks about a value or a field take. */
const BYTES_PER_VALUE = 32

/**
 * The bytes of the JSON of a value if they are more than `limit`; undefined if it fits. The JSON itself is only made of what may
 * not fit, which is seldom.
 */
export function oversizeOf(value: unknown, limit: number): number | undefined {
  if (mayHave(value, limit)) {
    const bytes = Buffer.byteLength(JSON.stringify(value) ?? '')
    if (bytes > limit) return bytes
  }
  return undefined
}

function mayHave(value: unknown, limit: number): boolean {
  const waiting: unknown[] = [value]
  let bytes = 0
  while (waiting.length > 0) {
    const part = waiting.pop()
    bytes += BYTES_PER_VALUE + (typeof part === 'string' ? part.length * BYTES_PER_CHARACTER : 0)
    if (bytes > limit) return true
    if (typeof part !== 'object' || part === null) continue
    if (Array.isArray(part)) {
      if (bytes + part.length * BYTES_PER_VALUE > limit) return true
      for (const each of part) waiting.push(each)
    } else {
      for (const key in part) {
        bytes += key.length * BYTES_PER_CHARACTER
        waiting.push((part as Record<string, unknown>)[key])
      }
    }
  }
  return false
}

/** Whether objects and arrays stand within each other more than `levels` deep. */
export function nestsDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  return Object.values(value).some((part) => nestsDeeper(part, levels - 1))
}
