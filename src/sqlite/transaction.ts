import type { DatabaseSync } from 'node:sqlite'

/**
 * Runs `work` as one transaction: everything is stored, or, if it throws, nothing.
 *
 * @param begin `BEGIN IMMEDIATE` (default) to write; `BEGIN` to read several tables at one moment
 */
export function inTransaction<Result>(
  db: DatabaseSync,
  work: () => Result,
  begin: 'BEGIN' | 'BEGIN IMMEDIATE' = 'BEGIN IMMEDIATE',
): Result {
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
