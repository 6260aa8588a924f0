import { DatabaseSync } from 'node:sqlite'
import { indexOf, startOver } from './copy-again.ts'
import { isDiskError } from './errors.ts'
import { takeOver } from './own-checkpoint.ts'
import { existingStore } from './store-files.ts'

/**
 * Takes SQLite's automatic checkpoints over for a small store to which several processes may write: each checkpoint copies
 * **all** that the write-ahead log holds.
 *
 * Why: what an earlier checkpoint has copied may not be on the disk after a sync that failed (see copy-again.ts), and with
 * several processes it need not be the one that met the error which takes the next checkpoint. So each begins with nothing
 * copied, under the store's write lock, so that no other one runs meanwhile. Wherever a process is killed, the log begins
 * anew only after a checkpoint that has copied all of it and synced that.
 *
 * @param path of the store's file
 * @returns runs a write, which is to be committed when it returns, and then takes a checkpoint if the log is as long as
 *   `checkpointPages` says. One that meets an error of the disk does not undo the write; the next write is refused with that
 *   error of SQLite, before it begins, until a checkpoint succeeds. While somebody else writes none can be tried, and the write goes on:
 *   the log, which is synced, still holds everything.
 */
export function withWholeCheckpoints(
  db: DatabaseSync,
  path: string,
): <Result>(write: () => Result) => Result {
  const { pages, length, checkpoint } = takeOver(db)
  let index: number | undefined
  let failed = false
  /** How long the log was when the last checkpoint was tried, for as long as it has not begun anew. */
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
    // While somebody reads an older state no checkpoint lets the log begin anew, and each would copy more for nothing.
    if (now - tried < pages) return result
    tried = now
    try {
      take()
    } catch {
      // The next write meets it.
    }
    return result
  }
}
