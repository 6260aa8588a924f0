import { openView } from './open-view.ts'
import { toViewError } from './view-error.ts'

/**
 * The number of the last swap at which a part of a view took over effects; 0 if it never did, or has not been written
 * yet.
 *
 * @throws CqrsError CQRS_STORE_… if the file is missing or cannot be read
 */
export function lastSwapIn(path: string, projection: string): number {
  const db = openView(path, projection, { readOnly: true })
  try {
    return Number(db.prepare('SELECT took_over FROM checkpoint').get()?.took_over ?? 0)
  } catch (error) {
    throw toViewError(error, path, projection)
  } finally {
    db.close()
  }
}

/**
 * Makes a part of a view forget swaps later than `last`: a later one that it has stored is replaced by `last`.
 *
 * @throws CqrsError CQRS_STORE_… if the file is missing or cannot be written
 */
export function forgetSwapsAfter(path: string, projection: string, last: number): void {
  const db = openView(path, projection, { mustExist: true })
  try {
    db.exec('PRAGMA synchronous = FULL')
    db.prepare('UPDATE checkpoint SET took_over = ?1, revision = revision + 1 WHERE took_over > ?1').run(last)
  } catch (error) {
    throw toViewError(error, path, projection)
  } finally {
    db.close()
  }
}
