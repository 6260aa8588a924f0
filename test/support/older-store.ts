import { DatabaseSync } from 'node:sqlite'
import type { StoreSchema } from '../../src/sqlite/migrate.ts'
import { offerRowChecksum } from '../../src/sqlite/row-checksum.ts'

/** A store as a program left it that knew the first `steps` of its schema. */
export function older(path: string, schema: StoreSchema, steps: number): DatabaseSync {
  const db = new DatabaseSync(path)
  offerRowChecksum(db)
  db.exec('PRAGMA journal_mode = WAL')
  for (const step of schema.migrations.slice(0, steps)) db.exec(step)
  db.exec(`PRAGMA user_version = ${steps}; PRAGMA application_id = ${schema.applicationId}`)
  return db
}
