import { openDatabase } from '../../sqlite/open.ts'
import { viewSchema } from './schema.ts'

/** The version of the fold that made a view; undefined if nobody has written it yet. @throws CqrsError CQRS_STORE_… */
export function readViewVersion(path: string): number | undefined {
  const db = openDatabase({ path, schema: viewSchema, durability: 'normal', readOnly: true })
  try {
    const version = db.prepare('SELECT version FROM checkpoint').get()?.version
    return version === undefined ? undefined : Number(version)
  } finally {
    db.close()
  }
}
