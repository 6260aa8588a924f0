import { openSync, writeSync } from 'node:fs'

/** Where the index of a write-ahead log says how many frames of it are in the file (https://www.sqlite.org/walformat.html). */
const BACKFILLED = 96

/**
 * Has the next checkpoint of a store copy all of its write-ahead log into the file, also what was copied before.
 *
 * Why: a checkpoint that does not reach the end of the log, because somebody reads an older state or goes on writing, notes
 * how far it has come and syncs nothing; the next one that does reach it syncs for all. If that sync fails, Linux holds the
 * pages for clean, though they never reached the disk (see rewrite-wal.ts). The checkpoint after it would copy again what
 * the failed one had copied, but not what others had before, sync with success, and let the log begin anew over the
 * only copy of them.
 *
 * The caller holds the store's write lock, so that the log does not begin anew meanwhile, and sees to it that nobody
 * takes a checkpoint. For SQLite it is as after a recovery of the log, which begins with nothing copied.
 *
 * @param path of the store's file
 */
export function copyAgain(path: string): void {
  startOver(indexOf(path))
}

/**
 * Opens the index of a store's write-ahead log. It is never closed: a process that closes a file gives up all its locks on it,
 * and SQLite's locks are on this one.
 */
export function indexOf(path: string): number {
  return openSync(`${path}-shm`, 'r+')
}

/** {@link copyAgain}, with the index that was opened. */
export function startOver(index: number): void {
  writeSync(index, new Uint8Array(4), 0, 4, BACKFILLED)
}
