import { DatabaseSync } from 'node:sqlite'
import { indexOf, startOver } from './copy-again.ts'
import { isDiskError } from './errors.ts'
import { takeOver } from './own-checkpoint.ts'
import { existingStore } from './store-files.ts'

/**
 * Replaces SQLite's automatic checkpoints for a small store that several processes may write to: each checkpoint copies
 * **all** of the write-ahead log.
 *
 * Why: after a sync that failed, what an earlier checkpoint had copied may not be on the disk (see copy-again.ts). With
 * several processes, the one that takes the next checkpoint need not be the one that met the error. So each checkpoint
 * begins as if nothing had been copied. It holds the store's write lock, so that no other checkpoint runs at the same
 * time. So wherever a process is killed, the log restarts at its beginning only after a checkpoint has copied all of it
 * and synced the copy.
 *
 * @param path of the store's file
 * @returns a function that runs a write, which must be committed when it returns, and then takes a checkpoint if the
 *   log has grown by `checkpointPages`. A checkpoint that meets a disk error does not undo the write. Instead, each
 *   following write first tries the checkpoint again, and is refused with SQLite's error before it begins, until a
 *   checkpoint succeeds. While another process is writing, no checkpoint can be tried and the write goes ahead: the
 *   log, which is synced, still holds everything.
 */
export function withWholeCheckpoints(
  db: DatabaseSync,
  path: string,
): <Result>(write: () => Result) => Result {
  const { pages, length, checkpoint } = takeOver(db)
  let index: number | undefined
  let failed = false
  /**
   * How long the log was when the last checkpoint was tried; 0 if none was tried since the log restarted at its
   * beginning.
   */
  let tried = 0

  const take = (): void => {
    let lock: DatabaseSync | undefined
    try {
      lock = new DatabaseSync(existingStore(path), { timeout: 0 })
      lock.exec('BEGIN IMMEDIATE')
      index ??= indexOf(path)
      startOver(index)
      checkpoint()
      failed = false
    } catch (error) {
      // Locked, or the disk is full: the log grows, and a later write tries again.
      if (!isDiskError(error)) return
      failed = true
      throw error
    } finally {
      lock?.close()
    }
  }

  return (write) => {
    if (failed) take()
    const result = write()
    const now = length()
    if (now < tried) tried = 0
    // While somebody reads an older state, no checkpoint lets the log restart, and each one would copy more and more
    // for nothing.
    if (now - tried < pages) return result
    tried = now
    try {
      take()
    } catch {
      // `failed` is set now, so the next write gets the error.
    }
    return result
  }
}
