import { DatabaseSync } from 'node:sqlite'
import { CqrsError } from '../kernel/errors.ts'
import { isBusy } from './errors.ts'
import { offerRowChecksum } from './row-checksum.ts'

/** Tries to have an older store for this process alone, and the time between two of them, in milliseconds: five seconds in all. */
const TRIES = { most: 200, pauseMs: 25 }

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

/** Whether a store lacks steps that this program knows; one that was just made does not count. @throws as {@link migrate} */
export function isOlder(db: DatabaseSync, schema: StoreSchema, path: string): boolean {
  const found = version(db, schema, path)
  return found > 0 && found < schema.migrations.length
}

/**
 * Brings an older store to the newest schema while nobody else has it open. A process of the older program that did would go
 * on: it would write rows as they were before, without the checksum of this program for one, which then are damaged ones.
 * Processes that start at the same time take turns.
 *
 * The file is taken for this process by SQLite's exclusive locking mode, which no other connection may be beside, not even one that
 * only reads now and then (https://www.sqlite.org/pragma.html#pragma_locking_mode).
 *
 * @throws CqrsError CQRS_STORE_LOCKED if somebody keeps it open; as {@link migrate}
 */
export function migrateAlone(location: string | URL, schema: StoreSchema, path: string): void {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let tries = 1; !triedAlone(location, schema, path); tries += 1) {
    if (tries >= TRIES.most) {
      throw new CqrsError(
        'CQRS_STORE_LOCKED',
        `The ${schema.name} ${path} is of an older version of iii-durable-cqrs and has to be brought up to date, but another process ` +
          'has it open. Stop every process of the older version that works on this data folder, then start again.',
      )
    }
    // Two that look at the same time are in each other's way.
    Atomics.wait(pause, 0, 0, TRIES.pauseMs * (0.5 + Math.random()))
  }
}

/** Whether the store is up to date, brought there by this process or by another one. */
function triedAlone(location: string | URL, schema: StoreSchema, path: string): boolean {
  const withStore = (use: (db: DatabaseSync) => boolean): boolean => {
    const db = new DatabaseSync(location, { timeout: 0 })
    try {
      return use(db)
    } catch (error) {
      if (isBusy(error)) return false
      throw error
    } finally {
      db.close()
    }
  }
  const isDone = withStore((db) => {
    db.exec('PRAGMA locking_mode = EXCLUSIVE')
    migrate(db, schema, path)
    return true
  })
  return isDone || withStore((db) => !isOlder(db, schema, path))
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
