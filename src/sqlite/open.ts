import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CqrsError } from '../kernel/errors.ts'
import { assertSchema } from './assert-schema.ts'
import { isBusy, isSqliteError, toStoreError } from './errors.ts'
import { isOlder, migrate, migrateAlone, type StoreSchema } from './migrate.ts'
import { rewriteWal } from './rewrite-wal.ts'
import { existingStore } from './store-files.ts'

/** The first SQLite without the WAL-reset bug (https://www.sqlite.org/wal.html, "the WAL-reset bug"). */
export const OLDEST_SQLITE = '3.51.3'

export interface OpenOptions {
  /** The database file; it and its folder are made if they are missing. */
  path: string
  /** What the file must be; a new file becomes it. */
  schema: StoreSchema
  /**
   * `full` (default) syncs every commit, so that an acknowledged write survives a power cut. `normal`
   * may lose the last commits in a power cut (never in a crash of the process) and is only for what
   * can be derived again from the log.
   */
  durability?: 'full' | 'normal'
  /** Refuse every write after the schema is in place. Default false. */
  readOnly?: boolean
  /** Refuse a file that is missing, instead of making it. Default false. */
  mustExist?: boolean
  /** How long a statement waits for another process's lock, in milliseconds. Default 5,000. */
  busyTimeoutMs?: number
  /** Pages the write-ahead log may grow to before it is folded into the file. Default 10,000 (40 MB). */
  checkpointPages?: number
  /** Page cache in KiB. Default 16,384. */
  cacheKiB?: number
}

/**
 * Opens an SQLite store: checks SQLite's version, makes the file with mode 0600, switches it to WAL,
 * and brings it to the newest schema, an older one only while nobody else has it open. What a writer of a `full`
 * store finds there is on the disk before it adds to it; see rewrite-wal.ts.
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

/** The file system's own errors (no folder, no permission) name the store as well. */
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
    `This Node carries SQLite ${version}, which can damage a database in WAL mode. Use a Node with SQLite ` +
      `${OLDEST_SQLITE} or newer (the npm package "node" of this project brings one: start through npm scripts).`,
  )
}

/**
 * The first switch to WAL needs the file for itself and does not wait for the busy timeout, so
 * processes that open a new store at the same moment take turns here. Nor does any other try wait for it, of which there are many:
 * somebody may have the file for himself for long (see migrateAlone).
 */
function switchToWal(db: DatabaseSync): void {
  db.exec('PRAGMA busy_timeout = 0')
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let attempt = 1; ; attempt += 1) {
    try {
      db.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      if (!isBusy(error) || attempt >= 200) throw error
      Atomics.wait(pause, 0, 0, 25)
    }
  }
}
