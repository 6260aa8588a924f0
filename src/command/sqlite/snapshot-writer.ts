import { serveCommits } from '../../sqlite/commit-thread.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { rowChecksum } from '../../sqlite/row-checksum.ts'
import { snapshotSchema } from './snapshot-schema.ts'

/** A snapshot on its way to the writer thread: stream, fingerprint, version, position, event id, state. */
export type SnapshotRow = readonly [string, string, number, number, string, string]

/** All snapshots with a fingerprint, which are to be removed. */
export interface Forgotten {
  readonly forget: string
}

serveCommits(({ path }: { path: string }) => {
  const db = openDatabase({ path, schema: snapshotSchema, durability: 'normal' })
  const save = db.prepare('INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)')
  const forget = db.prepare('DELETE FROM snapshots WHERE fingerprint = ?')
  return {
    db,
    path,
    execute(request: SnapshotRow | Forgotten): null {
      if ('forget' in request) forget.run(request.forget)
      else save.run(...request, rowChecksum(...request))
      return null
    },
  }
})
