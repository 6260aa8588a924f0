import { DatabaseSync } from 'node:sqlite'
import { CqrsError, isCqrsError } from '../kernel/errors.ts'
import { isBusy } from './errors.ts'
import { lookInto } from './look-into.ts'
import { offerRowChecksum } from './row-checksum.ts'
import { existingStore } from './store-files.ts'
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
 * Throws if a newer version wrote the store at `path`. A store that is missing or cannot be read is left to the process
 * that works with it. Writes nothing.
 *
 * @throws CqrsError CQRS_STORE_NEWER
 */
export function assertNotNewer(path: string, schema: StoreSchema): void {
  const newer = lookInto(path, (db) => {
    try {
      version(db, schema, path)
    } catch (error) {
      if (isCqrsError(error, 'CQRS_STORE_NEWER')) return error
    }
    return undefined
  })
  if (newer) throw newer
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
  alone(schema, path, () => {
    try {
      withStore(location, (db) => {
        db.exec(EXCLUSIVE)
        migrate(db, schema, path)
      })
    } catch (error) {
      // Another process may have brought it up to date meanwhile.
      if (!isBusy(error) || withStore(location, (db) => isOlder(db, schema, path))) throw error
    }
  })
}

/**
 * Finds out whether {@link migrateAlone} could have the store at `path` for itself at this moment. Changes nothing.
 *
 * @throws CqrsError CQRS_STORE_LOCKED if another process keeps it open
 */
export function assertAlone(path: string, schema: StoreSchema): void {
  alone(schema, path, () =>
    withStore(existingStore(path), (db) => {
      db.exec(EXCLUSIVE)
      version(db, schema, path)
    }),
  )
}

const EXCLUSIVE = 'PRAGMA locking_mode = EXCLUSIVE'

/** Runs `attempt`, which needs a store that nobody else has open, and waits a moment for those who have. */
function alone(schema: StoreSchema, path: string, attempt: () => void): void {
  try {
    waitForLock(attempt)
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

function withStore<Result>(location: string | URL, use: (db: DatabaseSync) => Result): Result {
  const db = new DatabaseSync(location, { timeout: 0 })
  try {
    return use(db)
  } finally {
    db.close()
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
