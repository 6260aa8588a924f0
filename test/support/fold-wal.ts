import { DatabaseSync } from 'node:sqlite'

/** Longer than any other connection of a test reads or copies. */
const WAIT_MS = 10_000

/**
 * Copies all of a store's write-ahead log into its file, and empties it. Waits for other connections: an open store is
 * looked at by the thread that helps with its checkpoints, and while somebody reads, SQLite leaves the log as it is
 * and says so in its answer only.
 */
export function foldWal(store: string): void {
  const db = new DatabaseSync(store, { timeout: WAIT_MS })
  const answer = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
  db.close()
  if (answer?.busy !== 0) throw new Error(`The write-ahead log of ${store} is read by somebody for too long.`)
}
