import { DatabaseSync } from 'node:sqlite'

/**
 * Reads something in a store from outside: opens it for this one look and writes nothing.
 *
 * @param timeoutMs how long to wait for a lock
 * @returns undefined if the store is missing or cannot be read: the process that works with it reports why
 */
export function lookInto<Result>(
  path: string,
  read: (db: DatabaseSync) => Result,
  timeoutMs = 0,
): Result | undefined {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(path, { readOnly: true, timeout: timeoutMs })
    return read(db)
  } catch {
    return undefined
  } finally {
    db?.close()
  }
}
