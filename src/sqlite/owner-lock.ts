import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { isBusy, toStoreError } from './errors.ts'

/** A lock that is held until it is released or the process ends in any way. */
export interface OwnerLock {
  /** May be called more than once. */
  release(): void
}

/** The outcome of one try: the lock, or which process has it (`pid` if it could be read). */
export type OwnerLockOutcome = { held: true; lock: OwnerLock } | { held: false; pid: number | undefined }

/**
 * Tries to become the only owner of something, with an operating-system lock on the file `path`.
 *
 * The lock is SQLite's reserved lock on a tiny database that nothing else uses. The kernel drops it when the process
 * dies, so a crash never leaves it behind; a stopped process (SIGSTOP) keeps it. Other processes can still read the row
 * that names the owner.
 */
export function tryOwn(path: string): OwnerLockOutcome {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const db = new DatabaseSync(path, { timeout: 20 })
  try {
    db.exec('PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF')
    db.exec('BEGIN IMMEDIATE')
    db.exec('CREATE TABLE IF NOT EXISTS owner (id INTEGER PRIMARY KEY CHECK (id = 1), pid INTEGER NOT NULL)')
    db.prepare('INSERT OR REPLACE INTO owner (id, pid) VALUES (1, ?)').run(process.pid)
    db.exec('COMMIT')
    // Another process may win between the two transactions; then the row holds its pid, and this BEGIN fails.
    db.exec('BEGIN IMMEDIATE')
    return { held: true, lock: { release: () => db.isOpen && db.close() } }
  } catch (error) {
    const holder = isBusy(error) ? readOwner(db) : undefined
    db.close()
    if (!isBusy(error)) throw toStoreError(error, path)
    return { held: false, pid: holder }
  }
}

export interface OwnOptions {
  /** Called once if another process is found to hold the lock. */
  onWaiting?: (pid: number | undefined) => void
  /** Ends the wait; the returned promise rejects with its reason. */
  signal?: AbortSignal
  /** How often to try while waiting, in milliseconds. Default 100. */
  pollMs?: number
}

/** Whether any process, including this one, owns `path` at the moment. Does not wait and takes no ownership. */
export function isOwned(path: string): boolean {
  return ownerOf(path) !== undefined
}

/** The process that owns `path` at the moment, with `pid` if it could be read. Does not wait and takes no ownership. */
export function ownerOf(path: string): { pid: number | undefined } | undefined {
  if (!existsSync(path)) return undefined
  const db = new DatabaseSync(path, { timeout: 0 })
  try {
    db.exec('BEGIN IMMEDIATE')
    return undefined
  } catch (error) {
    if (isBusy(error)) return { pid: readOwner(db) }
    throw toStoreError(error, path)
  } finally {
    db.close()
  }
}

/** Waits as a standby until this process owns `path` (see {@link tryOwn}). */
export async function own(path: string, options: OwnOptions = {}): Promise<OwnerLock> {
  let announced = false
  for (;;) {
    options.signal?.throwIfAborted()
    const outcome = tryOwn(path)
    if (outcome.held) return outcome.lock
    if (!announced) options.onWaiting?.(outcome.pid)
    announced = true
    await delay(options.pollMs ?? 100, undefined, { signal: options.signal })
  }
}

function readOwner(db: DatabaseSync): number | undefined {
  try {
    if (db.isTransaction) db.exec('ROLLBACK')
    return Number(db.prepare('SELECT pid FROM owner').get()?.pid) || undefined
  } catch {
    return undefined
  }
}
