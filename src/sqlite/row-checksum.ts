import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { CqrsError } from '../kernel/errors.ts'
import { parseJson } from '../kernel/json.ts'

/**
 * CRC-32 over the values of a row. SQLite does not notice when bytes change on the disk as long as its
 * structure stays whole, so rows that are handed to others carry one.
 *
 * A row that is looked up is checked with the key it was looked up by, not with the one that it holds: in a damaged
 * page SQLite finds rows of other keys, each of them whole.
 */
export function rowChecksum(first: unknown, ...further: readonly unknown[]): number {
  let text = `${first ?? ''}`
  for (const value of further) text += `\n${value ?? ''}`
  return crc32(text)
}

/** Makes {@link rowChecksum} the SQL function `row_checksum(value, …)`, for migrations. */
export function offerRowChecksum(db: DatabaseSync): void {
  db.function('row_checksum', { varargs: true, deterministic: true }, rowChecksum)
}

/**
 * @param what names the row in the message, e.g. `The document "mug-1"`
 * @param advice what to do, as a sentence
 * @param details of the error
 * @throws CqrsError CQRS_STORE_CORRUPT if the row is not what was written
 */
export function assertChecksum(
  found: unknown,
  expected: number,
  what: string,
  advice: string,
  details: Record<string, unknown> = {},
): void {
  if (found === expected) return
  throw new CqrsError(
    'CQRS_STORE_CORRUPT',
    `${what} is not what was written: its checksum differs. ${advice}`,
    { details },
  )
}

/** Reads JSON that a store holds. @throws CqrsError CQRS_STORE_CORRUPT if it is none (any more) */
export function parseStored(text: unknown, what: string, advice: string): unknown {
  try {
    return parseJson(text as string)
  } catch (cause) {
    throw new CqrsError('CQRS_STORE_CORRUPT', `${what} is not what was written. ${advice}`, { cause })
  }
}
