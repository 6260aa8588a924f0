import { CqrsError, type ErrorCode } from '../kernel/errors.ts'

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html) that a user can do something about. */
const BUSY = 5
const LOCKED = 6
const READONLY = 8
const IOERR = 10
const CORRUPT = 11
const FULL = 13
const CANTOPEN = 14
const NOTADB = 26

const ADVICE: Record<number, { code: ErrorCode; advice: string }> = {
  [BUSY]: { code: 'CQRS_STORE_UNAVAILABLE', advice: 'another process holds its lock; try again' },
  [LOCKED]: { code: 'CQRS_STORE_UNAVAILABLE', advice: 'it is locked; try again' },
  [READONLY]: {
    code: 'CQRS_STORE_UNAVAILABLE',
    advice: 'it cannot be written; check the permissions of the data folder',
  },
  [IOERR]: {
    code: 'CQRS_STORE_UNAVAILABLE',
    advice:
      'the disk reported an error, and whether this was stored is not known; check the disk, then try again with the same idempotency key',
  },
  [CORRUPT]: { code: 'CQRS_STORE_CORRUPT', advice: 'its file is damaged; restore it from a backup' },
  [FULL]: {
    code: 'CQRS_STORE_FULL',
    advice: 'the disk is full; free space, then try again (no restart needed)',
  },
  [CANTOPEN]: {
    code: 'CQRS_STORE_UNAVAILABLE',
    advice:
      'it cannot be opened; check that the data folder exists and may be written, and how many files a process may open (ulimit -n)',
  },
  [NOTADB]: {
    code: 'CQRS_STORE_CORRUPT',
    advice: 'the file is not an SQLite database; restore it from a backup or move it away',
  },
}

/** Whether `error` comes from SQLite itself; our own programming errors do not. */
export function isSqliteError(error: unknown): error is Error & { errcode: number } {
  return error instanceof Error && typeof (error as { errcode?: unknown }).errcode === 'number'
}

/** Whether the needed lock is held by another connection. */
export function isBusy(error: unknown): boolean {
  return isSqliteError(error) && (error.errcode & 0xff) === BUSY
}

/**
 * Whether the store as a whole failed (locked, full, broken), so that any other request would fail too. A damaged page
 * does not count: only requests that touch it fail.
 */
export function isStoreFailure(error: unknown): boolean {
  if (!isSqliteError(error)) return false
  const code = error.errcode & 0xff
  return code !== CORRUPT && ADVICE[code] !== undefined
}

/** Whether the disk reported an error. What was being written or synced may then be lost. */
export function isDiskError(error: unknown): boolean {
  return isSqliteError(error) && (error.errcode & 0xff) === IOERR
}

/**
 * Whether SQLite met text that is no JSON any more: it parses the JSON of documents when it reads or makes an index over
 * their fields.
 */
export function isBrokenJson(error: unknown): boolean {
  return isSqliteError(error) && error.message.includes('malformed JSON')
}

/**
 * Turns an error of node:sqlite into a {@link CqrsError} that says which store failed and what to do.
 * Any other error is returned as it is.
 */
export function toStoreError(error: unknown, path: string): unknown {
  if (!isSqliteError(error)) return error
  const known = ADVICE[error.errcode & 0xff]
  const code = known?.code ?? 'CQRS_STORE_UNAVAILABLE'
  const advice = known?.advice ?? 'see the cause'
  return new CqrsError(code, `The store ${path} failed: ${advice} (${error.message}).`, { cause: error })
}
