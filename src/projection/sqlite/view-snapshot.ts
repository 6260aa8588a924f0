import type { DatabaseSync } from 'node:sqlite'
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
 * @throws CqrsError CQRS_STORE_…
 */
export function compareSqliteViews(before: readonly string[], after: readonly string[]): ParityReport {
  const opened: DatabaseSync[] = []
  const open = (path: string) => {
    const db = openDatabase({ path, schema: viewSchema, durability: 'normal', readOnly: true })
    opened.push(db)
    return db
  }
  const sides = [before.map(open), after.map(open)] as const
  try {
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let look = 1; ; look += 1) {
      for (const db of opened) db.exec('BEGIN')
      const [one, other] = sides.map((dbs) => dbs.map(positionOf)) as [number[], number[]]
      if (look === LOOKS || areAtOnePosition(one, other)) {
        return compareViews(snapshot(sides[0], one), snapshot(sides[1], other))
      }
      for (const db of opened) db.exec('ROLLBACK')
      Atomics.wait(pause, 0, 0, PAUSE_MS)
    }
  } finally {
    for (const db of opened) db.close()
  }
}

function snapshot(dbs: readonly DatabaseSync[], positions: readonly number[]): ViewSnapshot {
  return { positions, documents: mergeDocuments(dbs.map(documentsOf)) }
}

function documentsOf(db: DatabaseSync): Iterable<StoredDocument> {
  const rows = db.prepare('SELECT key, document FROM documents ORDER BY key').iterate()
  return rows as unknown as Iterable<StoredDocument>
}

function positionOf(db: DatabaseSync): number {
  return Number(db.prepare('SELECT position FROM checkpoint').get()?.position ?? 0)
}
