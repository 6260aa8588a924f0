import { openView } from './open-view.ts'
import { toViewError } from './view-error.ts'

/**
 * The version of the fold that made a view; undefined if it has not been written yet.
 *
 * @throws CqrsError CQRS_STORE_…
 */
export function readViewVersion(path: string, projection: string): number | undefined {
  const db = openView(path, projection, { readOnly: true })
  try {
    const version = db.prepare('SELECT version FROM checkpoint').get()?.version
    return version === undefined ? undefined : Number(version)
  } catch (error) {
    throw toViewError(error, path, projection)
  } finally {
    db.close()
  }
}
