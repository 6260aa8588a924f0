import { withView } from './open-view.ts'

/**
 * The version of the fold that made a view; undefined if it has not been written yet.
 *
 * @throws CqrsError CQRS_STORE_…
 */
export function readViewVersion(path: string, projection: string): number | undefined {
  return withView(path, projection, { readOnly: true }, (db) => {
    const version = db.prepare('SELECT version FROM checkpoint').get()?.version
    return version === undefined ? undefined : Number(version)
  })
}
