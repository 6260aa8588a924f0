import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CqrsError } from '../kernel/errors.ts'
import { assertSchema } from './assert-schema.ts'
import { isSqliteError, toStoreError } from './errors.ts'
import { isOlder, migrate, migrateAlone, type StoreSchema } from './migrate.ts'
import { rewriteWal } from './rewrite-wal.ts'
import { existingStore } from './store-files.ts'
import { waitForLock } from './wait-for-lock.ts'

/** The first SQLite without the WAL-reset bug (https://www.sqlite.org/wal.html, "the WAL-reset bug"). */
export const OLDEST_SQLITE = '3.51.3'

export interface OpenOptions {
  /** The database file; the file and its folder are created if they are missing. */
  path: string
  /** The schema that the file must have; a new file gets it. */
  schema: StoreSchema
  /**
   * `full` (default) syncs every commit, so that an acknowledged write survives a power cut. `normal` may lose the last
   * commits in a power cut (never when the process crashes). It is only for data that can be derived from the log
   * again.
   */
  durability?: 'full' | 'normal'
  /** Refuse every write after the schema is in place. Default false. */
  readOnly?: boolean
  /** Refuse a file that is missing, instead of creating it. Default false. */
  mustExist?: boolean
  /** How long a statement waits for a lock of another process, in milliseconds. Default 5,000. */
  busyTimeoutMs?: number
  /** Pages that the write-ahead log may grow to before it is copied into the file. Default 10,000 (40 MB). */
  checkpointPages?: number
  /** Page cache in KiB. Default 16,384. */
  cacheKiB?: number
}

/**
 * Opens an SQLite store: checks SQLite's version, creates the file with mode 0600, switches it to WAL, and brings it to
 * the newest schema. An older store is only migrated while nobody else has it open. Before a writer of a `full` store
 * can add to it, everything that is already there is made durable; see rewrite-wal.ts.
 *
 * @throws CqrsError CQRS_SQLITE_TOO_OLD, CQRS_STORE_NEWER, CQRS_STORE_LOCKED, CQRS_STORE_FOREIGN, or a store error
 */
export function openDatabase(options: OpenOptions): DatabaseSync {
  assertSqliteVersion(process.versions.sqlite ?? '0')
  let db: DatabaseSync | undefined
  try {
    if (!options.mustExist) mkdirSync(dirname(options.path), { recursive: true, mode: 0o700 })
    const isNew = !options.mustExist && !existsSync(options.path)
    const location = options.mustExist ? existingStore(options.path) : options.path
    const timeout = options.busyTimeoutMs ?? 5_000
    const open = () => new DatabaseSync(location, { timeout })
    db = open()
    if (isNew) chmodSync(options.path, 0o600)
    switchToWal(db)
    db.exec(`PRAGMA busy_timeout = ${timeout}`)
    if (isOlder(db, options.schema, options.path)) {
      db.close()
      migrateAlone(location, options.schema, options.path)
      db = open()
    }
    db.exec(`
      PRAGMA synchronous = ${options.durability === 'normal' ? 'NORMAL' : 'FULL'};
      PRAGMA wal_autocheckpoint = ${options.checkpointPages ?? 10_000};
      PRAGMA journal_size_limit = 67108864;
      PRAGMA cache_size = -${options.cacheKiB ?? 16_384};
      PRAGMA temp_store = MEMORY;
      PRAGMA trusted_schema = OFF;
    `)
    migrate(db, options.schema, options.path)
    assertSchema(db, options.schema, options.path)
    if (options.readOnly) db.exec('PRAGMA query_only = ON')
    else if (options.durability !== 'normal') rewriteWal(db, options.path)
    return db
  } catch (error) {
    if (db?.isOpen) db.close()
    throw asStoreError(error, options.path)
  }
}

/** Makes errors of the file system itself (no folder, no permission) name the store as well. */
function asStoreError(error: unknown, path: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (isSqliteError(error) || error instanceof CqrsError) return toStoreError(error, path)
  if (code === 'ENOSPC') {
    return new CqrsError('CQRS_STORE_FULL', `The store ${path} failed: the disk is full; free space.`, {
      cause: error,
    })
  }
  return new CqrsError(
    'CQRS_STORE_UNAVAILABLE',
    `The store ${path} cannot be opened: ${message}. Check that the data folder exists and may be written.`,
    { cause: error },
  )
}

/** Refuses an SQLite older than {@link OLDEST_SQLITE}. */
export function assertSqliteVersion(version: string): void {
  const [found, oldest] = [version, OLDEST_SQLITE].map((text) =>
    text.split('.').reduce((sum, part) => sum * 1_000 + Number(part), 0),
  ) as [number, number]
  if (found >= oldest) return
  throw new CqrsError(
    'CQRS_SQLITE_TOO_OLD',
    `This Node contains SQLite ${version}, which can damage a database in WAL mode. Use a Node with SQLite ` +
      `${OLDEST_SQLITE} or newer (npm installs one with this project: start through npm, e.g. "npm start").`,
  )
}

/**
 * Switches to WAL. The first switch needs the file exclusively, and SQLite does not apply the busy timeout to it. So
 * this tries again and again, and processes that open a new store at the same moment take turns. The timeout is 0
 * meanwhile, so that the many attempts do not each wait for it: another process may hold the file exclusively for long
 * (see migrateAlone).
 */
function switchToWal(db: DatabaseSync): void {
  db.exec('PRAGMA busy_timeout = 0')
  waitForLock(() => db.exec('PRAGMA journal_mode = WAL'))
}
