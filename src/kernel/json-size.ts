/**
 * The largest answer or payload that fits into one frame from a worker to the engine, in bytes: the engine's limit of
 * 16 MiB, less 64 KiB for everything else in the frame. If a frame is larger, the engine cuts the worker's link, and
 * with it everything that its process serves.
 */
export const FRAME_ROOM = 16_777_216 - 65_536

/**
 * The most characters of JSON that the items of one page may have. This is a quarter of what the engine accepts: an
 * answer that travels as a string can double in size, and an answer holds more than the items.
 */
export const PAGE_CHARACTERS = 4_194_304

/**
 * The most characters of JSON that the documents of one page may have if a query of an app reads it. This is half of
 * what the engine accepts: an answer holds more than the documents, and some characters take several bytes.
 */
export const QUERY_CHARACTERS = 8_388_608

/**
 * Deepest nesting of what is stored and shown. The engine refuses a frame with more than 127 levels, including its own.
 */
export const MAX_DEPTH = 100

/** The most bytes of JSON that one character of a string can take, as `\u0001` does. */
const BYTES_PER_CHARACTER = 6

/** An upper bound in bytes for a number, a word (`true`, `null`), or the punctuation around a value or field. */
const BYTES_PER_VALUE = 32

/**
 * The size of the value's JSON in bytes if that is more than `limit`; undefined if it fits. Builds the JSON only if a
 * quick upper bound exceeds the limit, which is rare.
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

/** Whether objects and arrays are nested more than `levels` deep. */
export function nestsDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  return Object.values(value).some((part) => nestsDeeper(part, levels - 1))
}
