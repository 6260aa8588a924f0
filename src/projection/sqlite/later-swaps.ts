import { withView } from './open-view.ts'

/**
 * The number of the last swap at which a part of a view took over effects; 0 if it never did, or has not been written
 * yet.
 *
 * @throws CqrsError CQRS_STORE_… if the file is missing or cannot be read
 */
export function lastSwapIn(path: string, projection: string): number {
  return withView(path, projection, { readOnly: true }, (db) =>
    Number(db.prepare('SELECT took_over FROM checkpoint').get()?.took_over ?? 0),
  )
}

/**
 * Makes a part of a view forget swaps later than `last`: a later one that it has stored is replaced by `last`.
 *
 * @throws CqrsError CQRS_STORE_… if the file is missing or cannot be written
 */
export function forgetSwapsAfter(path: string, projection: string, last: number): void {
  withView(path, projection, { mustExist: true }, (db) => {
    db.exec('PRAGMA synchronous = FULL')
    db.prepare('UPDATE checkpoint SET took_over = ?1, revision = revision + 1 WHERE took_over > ?1').run(last)
  })
}
