import { openSync, writeSync } from 'node:fs'

/**
 * The offset in the index of a write-ahead log that says how many of its frames were copied into the file
 * (https://www.sqlite.org/walformat.html).
 */
const BACKFILLED = 96

/**
 * Makes the next checkpoint of a store copy all of its write-ahead log into the file, including what was copied before.
 *
 * Why: a checkpoint does not reach the end of the log if somebody reads an older state or goes on writing. It then
 * records how far it got and syncs nothing; the next checkpoint that reaches the end syncs for all of them. If that
 * sync fails, Linux treats the pages as clean although they never reached the disk (see rewrite-wal.ts). The checkpoint
 * after it would copy again what the failed one had copied, but not what earlier ones had. It would sync with success,
 * and let the log restart over the only good copy of those pages.
 *
 * The caller must hold the store's write lock, so that the log does not restart meanwhile, and must make sure that
 * nobody takes a checkpoint. To SQLite this looks like a recovery of the log, after which nothing counts as copied
 * either.
 *
 * @param path of the store's file
 */
export function copyAgain(path: string): void {
  startOver(indexOf(path))
}

/**
 * Opens the index of a store's write-ahead log. Never close it: a process that closes a file loses all its locks on
 * that file, and SQLite's locks are on this one.
 */
export function indexOf(path: string): number {
  return openSync(`${path}-shm`, 'r+')
}

/** {@link copyAgain}, for an index that is already open. */
export function startOver(index: number): void {
  writeSync(index, new Uint8Array(4), 0, 4, BACKFILLED)
}
