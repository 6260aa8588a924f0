import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { CqrsError } from '../kernel/errors.ts'
import { parseJson } from '../kernel/json.ts'

/**
 * CRC-32 over the values of a row. As long as its structure stays intact, SQLite does not notice when bytes change on
 * the disk. So rows whose content is passed on carry a checksum.
 *
 * A row that was looked up is checked with the key that was asked for, not with the one that it holds: in a damaged
 * page SQLite can find rows of other keys, each of them intact.
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

/** Parses JSON from a store. @throws CqrsError CQRS_STORE_CORRUPT if it is not JSON (any more) */
export function parseStored(text: unknown, what: string, advice: string): unknown {
  try {
    return parseJson(text as string)
  } catch (cause) {
    throw new CqrsError('CQRS_STORE_CORRUPT', `${what} is not what was written. ${advice}`, { cause })
  }
}
