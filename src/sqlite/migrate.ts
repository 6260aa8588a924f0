import { DatabaseSync } from 'node:sqlite'
import { CqrsError } from '../kernel/errors.ts'
import { isBusy } from './errors.ts'
import { lookInto } from './look-into.ts'
import { offerRowChecksum } from './row-checksum.ts'
import { inTransaction } from './transaction.ts'
import { waitForLock } from './wait-for-lock.ts'

/** A kind of store file: its mark and the migration steps to its newest schema. */
export interface StoreSchema {
  /** What the store is called in messages, e.g. `event log`. */
  name: string
  /** Marks the file as ours (PRAGMA application_id), so that a foreign file is never touched. */
  applicationId: number
  /**
   * The SQL of every step, oldest first. A step that was released never changes; new steps are added at the end. Steps
   * may call `row_checksum(value, …)`, which is rowChecksum of row-checksum.ts.
   */
  migrations: readonly string[]
}

/**
 * Whether a store lacks steps that this program knows. A store that was just created does not count.
 *
 * @throws as {@link migrate}
 */
export function isOlder(db: DatabaseSync, schema: StoreSchema, path: string): boolean {
  const found = version(db, schema, path)
  return found > 0 && found < schema.migrations.length
}

/**
 * Whether an older version wrote the store at `path`. A store that is missing or cannot be read does not count as
 * older: the process that works with it reports what is wrong. Writes nothing.
 */
export function isOlderStore(path: string, schema: StoreSchema): boolean {
  return lookInto(path, (db) => isOlder(db, schema, path)) ?? false
}

/**
 * Brings an older store to the newest schema while nobody else has it open. Otherwise a process of the older program
 * would go on writing rows in the old form, for example without a checksum that this program expects, and they would
 * count as damaged. Processes that start at the same time take turns.
 *
 * SQLite's exclusive locking mode reserves the file for this process. It excludes every other connection, even one that
 * reads only now and then (https://www.sqlite.org/pragma.html#pragma_locking_mode).
 *
 * @throws CqrsError CQRS_STORE_LOCKED if another process keeps it open; as {@link migrate}
 */
export function migrateAlone(location: string | URL, schema: StoreSchema, path: string): void {
  try {
    waitForLock(() => tryAlone(location, schema, path))
  } catch (error) {
    if (!isBusy(error)) throw error
    throw new CqrsError(
      'CQRS_STORE_LOCKED',
      `The ${schema.name} ${path} is of an older version of iii-durable-cqrs and has to be brought up to date, but another process ` +
        'has it open. Stop every process of the older version that works on this data folder, then start again.',
      { cause: error },
    )
  }
}

/**
 * Returns once the store is up to date, brought there by this process or by another one.
 *
 * @throws the "busy" error of SQLite if it is still older
 */
function tryAlone(location: string | URL, schema: StoreSchema, path: string): void {
  const withStore = <Result>(use: (db: DatabaseSync) => Result): Result => {
    const db = new DatabaseSync(location, { timeout: 0 })
    try {
      return use(db)
    } finally {
      db.close()
    }
  }
  try {
    withStore((db) => {
      db.exec('PRAGMA locking_mode = EXCLUSIVE')
      migrate(db, schema, path)
    })
  } catch (error) {
    if (!isBusy(error) || withStore((db) => isOlder(db, schema, path))) throw error
  }
}

/**
 * Brings `db` to the newest schema, with one transaction for all missing steps. Processes that start at the same time
 * take turns: the transaction is immediate, and the version is read inside it.
 *
 * @throws CqrsError CQRS_STORE_NEWER if the file has more steps than this program knows; CQRS_STORE_FOREIGN if the file
 *   is not this kind of store
 */
export function migrate(db: DatabaseSync, schema: StoreSchema, path: string): void {
  if (version(db, schema, path) === schema.migrations.length) return
  offerRowChecksum(db)
  inTransaction(db, () => {
    const from = version(db, schema, path)
    for (const step of schema.migrations.slice(from)) db.exec(step)
    db.exec(`PRAGMA user_version = ${schema.migrations.length}`)
    db.exec(`PRAGMA application_id = ${schema.applicationId}`)
  })
}

function version(db: DatabaseSync, schema: StoreSchema, path: string): number {
  // Read this before the mark. A process that creates the store at the same time writes its mark and its tables in one
  // transaction, so a store that is not empty here has its mark below.
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
