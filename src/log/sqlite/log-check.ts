import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { isIn, type Partition } from '../../kernel/partition.ts'
import type { Position } from '../../kernel/position.ts'
import { toStoreError } from '../../sqlite/errors.ts'
import { isOlder } from '../../sqlite/migrate.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { PAGE_BYTES } from '../contract.ts'
import { LINE, LINES, type PackedEvents, packEvents, type RowLines } from './packed-events.ts'
import { PageReader, type RowShape } from './page-reader.ts'
import { CHECKED_TEXT } from './row.ts'
import { eventLogSchema } from './schema.ts'

/** Consecutive positions of the log that were checked, with the events that were wanted. */
export interface CheckedPage {
  readonly ids: readonly { readonly position: Position; readonly id: string }[]
  readonly events: PackedEvents
  readonly through: Position
}

/** Reads the log ahead of another thread, and checks it. */
export interface LogCheck {
  /**
   * Reads and checks the positions after `after`, within `limit` and `bytes` as for a page of the log. Undefined if
   * some of them are missing, are damaged, or cannot be packed; a caller that then reads them one by one gets the
   * error.
   *
   * @throws CqrsError CQRS_STORE_… if the file cannot be read
   */
  next(after: Position, limit: number, bytes?: number): CheckedPage | undefined
  close(): void
}

type CheckedRow = [text: string, checksum: number]

/** SQLite joins the columns into one text: reading that as a single column takes half the time of joining them here. */
const CHECKED_SHAPE: RowShape<CheckedRow> = {
  columns: [CHECKED_TEXT, 'checksum'],
  position: ([text]) => Number(text.slice(0, text.indexOf('\n'))),
  bytes: ([text]) => Buffer.byteLength(text),
}

/** @param wanted which events the reader will look at */
export function openSqliteLogCheck(
  path: string,
  wanted: { readonly types: ReadonlySet<string>; readonly partition: Partition },
): LogCheck {
  const db: DatabaseSync = openDatabase({ path, schema: eventLogSchema, readOnly: true })
  const head = db.prepare('SELECT max(position) AS position FROM events')
  const pages = new PageReader(db, CHECKED_SHAPE)

  const read = (after: Position, limit: number, bytes: number): CheckedPage | undefined => {
    const last = Math.min(after + limit, Number(head.get()?.position ?? 0))
    const { rows, missing } = last > after ? pages.read(after, last, bytes) : { rows: [] }
    if (missing !== undefined) return undefined
    const ids: { position: Position; id: string }[] = []
    const events: RowLines[] = []
    for (const [text, checksum] of rows) {
      const lines = text.split('\n')
      // Check every row before filtering: the filter may look at just the bytes that are damaged.
      if (lines.length !== LINES || crc32(text) !== checksum) return undefined
      if (!wanted.types.has(lines[LINE.type] as string)) continue
      if (!isIn(lines[LINE.stream] as string, wanted.partition)) continue
      events.push(lines)
      ids.push({ position: Number(lines[LINE.position]), id: lines[LINE.id] as string })
    }
    return { ids, events: packEvents(events), through: after + rows.length }
  }
  return {
    next(after, limit, bytes = PAGE_BYTES) {
      try {
        return read(after, limit, bytes)
      } catch (error) {
        throw toStoreError(error, path)
      }
    },
    close: () => db.close(),
  }
}

/** How many events are checked at once. */
const PAGE = 1_000

/** What {@link checkWholeLog} found. */
export interface WholeLog {
  readonly head: Position
  /** The first position whose event is damaged or missing. */
  readonly damagedAt?: Position
  /** Not checked: an older version wrote the log, and its checksums may be others. */
  readonly isOlder?: true
}

/**
 * Checks every event of a log that nobody has open, and changes nothing.
 *
 * @throws CqrsError CQRS_STORE_NEWER, CQRS_STORE_FOREIGN, or a store error if the file cannot be read
 */
export function checkWholeLog(path: string): WholeLog {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const head = Number(db.prepare('SELECT max(position) AS position FROM events').get()?.position ?? 0)
    if (isOlder(db, eventLogSchema, path)) return { head, isOlder: true }
    const pages = new PageReader(db, CHECKED_SHAPE)
    for (let after = 0; after < head; ) {
      const { rows, missing } = pages.read(after, Math.min(after + PAGE, head), PAGE_BYTES)
      const damaged = rows.findIndex(([text, checksum]) => crc32(text) !== checksum)
      if (damaged !== -1) return { head, damagedAt: after + damaged + 1 }
      if (missing !== undefined) return { head, damagedAt: missing }
      after += rows.length
    }
    return { head }
  } catch (error) {
    throw toStoreError(error, path)
  } finally {
    db.close()
  }
}
