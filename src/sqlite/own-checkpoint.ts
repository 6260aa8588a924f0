import type { DatabaseSync } from 'node:sqlite'
import { isDiskError } from './errors.ts'

/**
 * Replaces SQLite's automatic checkpoints. Those ignore every error, but a disk error must not be ignored (see
 * copy-again.ts).
 *
 * @returns a function to call after each commit: takes a checkpoint if the write-ahead log has reached
 *   `checkpointPages`
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
 * Switches SQLite's automatic checkpoints off.
 *
 * @returns `pages`: the length of the write-ahead log at which they were taken; `length`: returns the current length of
 *   the log in pages; `checkpoint`: takes a checkpoint
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
