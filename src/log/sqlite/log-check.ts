import type { DatabaseSync } from 'node:sqlite'
import { isIn, type Partition } from '../../kernel/partition.ts'
import type { Position } from '../../kernel/position.ts'
import { toStoreError } from '../../sqlite/errors.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { firstGap, preparePage } from './event-log.ts'
import { assertWhole, COLUMN, type EventColumns, missingEvent, toRow } from './row.ts'
import { eventLogSchema } from './schema.ts'

/** A run of the log that was checked. */
export interface CheckedPage {
  /** Those that were wanted. */
  readonly events: readonly { readonly position: Position; readonly id: string }[]
  readonly through: Position
}

/** Checks the rows of the log ahead of a reader, who then need not; see `vouched` in ../contract.ts. */
export interface LogCheck {
  /** The next at most `limit` positions. @throws CqrsError CQRS_STORE_CORRUPT for a row that is not what was written */
  next(after: Position, limit: number): CheckedPage
  close(): void
}

/** @param wanted which events the reader will look at */
export function openSqliteLogCheck(
  path: string,
  wanted: { readonly types: ReadonlySet<string>; readonly partition: Partition },
): LogCheck {
  const db: DatabaseSync = openDatabase({ path, schema: eventLogSchema, readOnly: true })
  const page = preparePage(db)
  const head = db.prepare('SELECT max(position) AS position FROM events')
  return {
    next(after, limit) {
      try {
        const through = Math.min(after + limit, Number(head.get()?.position ?? 0))
        if (through <= after) return { events: [], through: after }
        const rows = page.all(after, through) as unknown as EventColumns[]
        if (rows.length < through - after) throw missingEvent(firstGap(rows, after))
        const events: { position: Position; id: string }[] = []
        for (const columns of rows) {
          // All of them, before any is left out: what changed may be what it is chosen by.
          assertWhole(toRow(columns))
          if (!wanted.types.has(columns[COLUMN.type])) continue
          if (!isIn(columns[COLUMN.stream], wanted.partition)) continue
          events.push({ position: columns[COLUMN.position], id: columns[COLUMN.id] })
        }
        return { events, through }
      } catch (error) {
        throw toStoreError(error, path)
      }
    },
    close: () => db.close(),
  }
}
