import type { DatabaseSync } from 'node:sqlite'
import { CqrsError } from '../kernel/errors.ts'
import { offerRowChecksum } from './row-checksum.ts'

/** What a store file is: its mark and the steps that lead to its newest schema. */
export interface StoreSchema {
  /** What the store is called in messages, e.g. `event log`. */
  name: string
  /** Marks the file as ours (PRAGMA application_id), so that a foreign file is never touched. */
  applicationId: number
  /**
   * SQL of every step, oldest first. A step that was released never changes; a new one is added. Steps may call
   * `row_checksum(value, …)`, which is rowChecksum of row-checksum.ts.
   */
  migrations: readonly string[]
}

/**
 * Brings `db` to the newest schema, one transaction for all missing steps. Processes that start at the
 * same time take turns: the transaction is immediate and reads the version inside.
 *
 * @throws CqrsError CQRS_STORE_NEWER if the file knows more steps than this program;
 *   CQRS_STORE_FOREIGN if the file is not this kind of store
 */
export function migrate(db: DatabaseSync, schema: StoreSchema, path: string): void {
  if (version(db, schema, path) === schema.migrations.length) return
  offerRowChecksum(db)
  db.exec('BEGIN IMMEDIATE')
  try {
    const from = version(db, schema, path)
    for (const step of schema.migrations.slice(from)) db.exec(step)
    db.exec(`PRAGMA user_version = ${schema.migrations.length}`)
    db.exec(`PRAGMA application_id = ${schema.applicationId}`)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function version(db: DatabaseSync, schema: StoreSchema, path: string): number {
  // Read first: a process that makes the store meanwhile writes its mark in the same transaction as its tables.
  const empty = pragma(db, 'schema_version') === 0
  const found = pragma(db, 'user_version')
  const mark = pragma(db, 'application_id')
  if (!empty && mark !== schema.applicationId) {
    throw new CqrsError(
      'CQRS_STORE_FOREIGN',
      `${path} is an SQLite database, but not the ${schema.name} of iii-durable-cqrs. Choose another data folder.`,
    )
  }
  if (found > schema.migrations.length) {
    throw new CqrsError(
      'CQRS_STORE_NEWER',
      `The ${schema.name} ${path} has schema version ${found}; this program knows ${schema.migrations.length}. ` +
        'Run the newer version of iii-durable-cqrs that wrote it, or restore a backup from before the upgrade.',
    )
  }
  return found
}

function pragma(db: DatabaseSync, name: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0)
}
