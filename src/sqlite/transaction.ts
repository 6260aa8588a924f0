import type { DatabaseSync } from 'node:sqlite'

/** Runs `work` as one transaction: everything is stored, or, if it throws, nothing. */
export function inTransaction<Result>(db: DatabaseSync, work: () => Result): Result {
  return between(db, 'BEGIN IMMEDIATE', work)
}

/** Runs several reads that all see the store as it is at one moment, whatever other processes write meanwhile. */
export function atOneMoment<Result>(db: DatabaseSync, read: () => Result): Result {
  return between(db, 'BEGIN', read)
}

function between<Result>(db: DatabaseSync, begin: string, work: () => Result): Result {
  db.exec(begin)
  try {
    const result = work()
    db.exec('COMMIT')
    return result
  } catch (error) {
    // SQLite may have rolled back by itself.
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}
