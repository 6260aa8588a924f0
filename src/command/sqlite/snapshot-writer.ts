import { serveCommits } from '../../sqlite/commit-thread.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { rowChecksum } from '../../sqlite/row-checksum.ts'
import { snapshotSchema } from './snapshot-schema.ts'

/** A snapshot on its way to the writer thread: stream, fingerprint, version, position, event id, state. */
export type SnapshotRow = readonly [string, string, number, number, string, string]

serveCommits(({ path }: { path: string }) => {
  const db = openDatabase({ path, schema: snapshotSchema, durability: 'normal' })
  const save = db.prepare('INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)')
  return {
    db,
    path,
    execute(row: SnapshotRow): null {
      save.run(...row, rowChecksum(...row))
      return null
    },
  }
})
