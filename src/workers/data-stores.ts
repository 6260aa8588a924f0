import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { snapshotSchema } from '../command/sqlite/snapshot-schema.ts'
import { dataPaths } from '../config/paths.ts'
import { controlSchema } from '../control/sqlite/schema.ts'
import { eventLogSchema } from '../log/sqlite/schema.ts'
import { actionSchema } from '../operator/sqlite/action-store.ts'
import { viewSchema } from '../projection/sqlite/schema.ts'
import { queueSchema } from '../queue/sqlite/schema.ts'
import type { OpenOptions } from '../sqlite/open.ts'

/** How to open a store of the data folder. */
export type DataStore = Pick<OpenOptions, 'path' | 'schema' | 'durability'>

/** The stores that workers keep in a data folder, whether each is there or not, and the views that are there. */
export function dataStores(data: string): DataStore[] {
  const paths = dataPaths(data)
  const views = viewsIn(paths.views)
  return [
    { path: paths.events, schema: eventLogSchema },
    { path: paths.queue, schema: queueSchema },
    { path: paths.control, schema: controlSchema },
    { path: paths.actions, schema: actionSchema },
    { path: paths.snapshots, schema: snapshotSchema, durability: 'normal' },
    ...views.map((path): DataStore => ({ path, schema: viewSchema, durability: 'normal' })),
  ]
}

/** Not those that were moved aside, which lie in a folder of their own. */
function viewsIn(folder: string): string[] {
  try {
    const files = readdirSync(folder).filter((file) => file.endsWith('.db'))
    return files.sort().map((file) => join(folder, file))
  } catch {
    // Not there yet, or not to be read: the projections worker says so.
    return []
  }
}
