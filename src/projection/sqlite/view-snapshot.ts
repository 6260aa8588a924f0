import type { DatabaseSync } from 'node:sqlite'
import { CqrsError, isCqrsError } from '../../kernel/errors.ts'
import { toStoreError } from '../../sqlite/errors.ts'
import { openDatabase } from '../../sqlite/open.ts'
import {
  areAtOnePosition,
  compareViews,
  mergeDocuments,
  type ParityReport,
  type StoredDocument,
  type ViewSnapshot,
} from '../parity.ts'
import { viewSchema } from './schema.ts'

/** Looks at two views that move, until both are found at the same position, at the most. */
const LOOKS = 400

/** Between two looks, in milliseconds. */
const PAUSE_MS = 5

/**
 * Compares two generations of a view, each given by the files of its partitions in order. Both may be moved
 * meanwhile by their owners: of each the state of one moment is read, if possible one at which both stand at the
 * same position. Blocks the thread.
 *
 * @throws CqrsError CQRS_STORE_…, but not because those before are damaged
 */
export function compareSqliteViews(before: readonly string[], after: readonly string[]): ParityReport {
  const opened: DatabaseSync[] = []
  const open = (path: string) => {
    const db = openDatabase({ path, schema: viewSchema, durability: 'normal', readOnly: true })
    opened.push(db)
    return db
  }
  try {
    const right = after.map(open)
    const left = unlessDamaged(() => before.map(open))
    if (left instanceof CqrsError) return compareViews(lost(before.length, left), snapshot(right, at(right)))
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let look = 1; ; look += 1) {
      for (const db of opened) db.exec('BEGIN')
      const one = unlessDamaged(() => at(left))
      const other = at(right)
      if (one instanceof CqrsError) return compareViews(lost(before.length, one), snapshot(right, other))
      if (look === LOOKS || areAtOnePosition(one, other)) {
        return compareViews(snapshot(left, one), snapshot(right, other))
      }
      for (const db of opened) db.exec('ROLLBACK')
      Atomics.wait(pause, 0, 0, PAUSE_MS)
    }
  } finally {
    for (const db of opened) db.close()
  }
}

/** What `read` gives; the error if the file is damaged. */
function unlessDamaged<Result>(read: () => Result): Result | CqrsError {
  try {
    return read()
  } catch (error) {
    if (isCqrsError(error, 'CQRS_STORE_CORRUPT')) return error
    throw error
  }
}

/** A view of which nothing can be read. */
function lost(parts: number, error: CqrsError): ViewSnapshot {
  const documents = {
    [Symbol.iterator]: () => ({
      next: () => {
        throw error
      },
    }),
  }
  return { positions: Array.from({ length: parts }, () => 0), documents }
}

function snapshot(dbs: readonly DatabaseSync[], positions: readonly number[]): ViewSnapshot {
  return { positions, documents: mergeDocuments(dbs.map(documentsOf)) }
}

function* documentsOf(db: DatabaseSync): Generator<StoredDocument> {
  try {
    const rows = db.prepare('SELECT key, document FROM documents ORDER BY key').iterate()
    yield* rows as Iterable<unknown> as Iterable<StoredDocument>
  } catch (error) {
    throw toStoreError(error, db.location() ?? '')
  }
}

function at(dbs: readonly DatabaseSync[]): number[] {
  return dbs.map(positionOf)
}

function positionOf(db: DatabaseSync): number {
  try {
    return Number(db.prepare('SELECT position FROM checkpoint').get()?.position ?? 0)
  } catch (error) {
    throw toStoreError(error, db.location() ?? '')
  }
}
