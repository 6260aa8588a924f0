import type { DatabaseSync } from 'node:sqlite'
import { isDiskError } from './errors.ts'

/**
 * Takes SQLite's automatic checkpoints over: those pass over every error, and one of the disk must not be passed over
 * (see copy-again.ts).
 *
 * @returns to be called after each commit: takes a checkpoint if the write-ahead log is as long as `checkpointPages` says
 */
export function ownCheckpoint(db: DatabaseSync): () => void {
  const { pages, length, checkpoint } = takeOver(db)
  return () => {
    try {
      if (length() >= pages) checkpoint()
    } catch (error) {
      // Locked, damaged, or the disk is full: the log grows, and the next commit tries again.
      if (isDiskError(error)) throw error
    }
  }
}

/**
 * Ends SQLite's automatic checkpoints.
 *
 * @returns at how many `pages` of the write-ahead log they were taken, the `length` of the log in pages, and how a
 *   `checkpoint` is taken
 */
export function takeOver(db: DatabaseSync) {
  const [pages] = Object.values(db.prepare('PRAGMA wal_autocheckpoint').get() ?? {})
  db.exec('PRAGMA wal_autocheckpoint = 0')
  const look = db.prepare('PRAGMA wal_checkpoint(NOOP)')
  const checkpoint = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  return {
    pages: Number(pages),
    length: () => Number(look.get()?.log),
    checkpoint: () => void checkpoint.get(),
  }
}
