import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { copyAgain } from './copy-again.ts'

/** Bytes that are read and written back at a time. */
const CHUNK = 1024 * 1024

/**
 * Makes sure that every byte of a store's write-ahead log is on the disk: writes each byte back over itself, then
 * syncs. Also has the whole log copied into the store's file again, since earlier copies may not be on the disk either;
 * see copy-again.ts.
 *
 * Why a plain fsync is not enough: after an fsync that failed, Linux treats the pages as clean although they never
 * reached the disk, and the next fsync succeeds without writing them (Rebello et al., "Can Applications Recover from
 * fsync Failures?", USENIX ATC 2020). As long as the process lives this does no harm, because SQLite writes its next
 * commit over the one that failed. But if the process dies first, the next one that opens the store finds the failed
 * commit in the page cache, complete with its checksum, and takes it for stored. Whatever it then commits and
 * acknowledges after that commit would be lost in a power cut, since recovery stops at the gap.
 *
 * The store's write lock is held meanwhile, so that nobody else writes the file. The cost depends on the length of the
 * log, at most some tens of megabytes, and only arises after a process did not close the store in an orderly way.
 */
export function rewriteWal(db: DatabaseSync, path: string): void {
  const { checkpointed } = db.prepare('PRAGMA wal_checkpoint(NOOP)').get() as { checkpointed: number }
  db.exec('BEGIN IMMEDIATE')
  try {
    rewrite(`${path}-wal`)
    if (checkpointed > 0) copyAgain(path)
  } finally {
    db.exec('ROLLBACK')
  }
}

function rewrite(path: string): void {
  const file = openSync(path, 'r+')
  try {
    const chunk = Buffer.alloc(CHUNK)
    let at = 0
    for (
      let read = readSync(file, chunk, 0, CHUNK, at);
      read > 0;
      read = readSync(file, chunk, 0, CHUNK, at)
    ) {
      for (let done = 0; done < read; ) done += writeSync(file, chunk, done, read - done, at + done)
      at += read
    }
    if (at > 0) fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
