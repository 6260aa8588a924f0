import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { snapshotSchema } from '../command/sqlite/snapshot-schema.ts'
import { dataPaths, viewPath } from '../config/paths.ts'
import { controlSchema } from '../control/sqlite/schema.ts'
import type { App } from '../kernel/app.ts'
import type { ProjectionDefinition } from '../kernel/projection.ts'
import { eventLogSchema } from '../log/sqlite/schema.ts'
import { actionSchema } from '../operator/sqlite/action-store.ts'
import { lacksIndex } from '../projection/sqlite/indexes.ts'
import { viewSchema } from '../projection/sqlite/schema.ts'
import { openSqliteView } from '../projection/sqlite/view-store.ts'
import { queueSchema } from '../queue/sqlite/schema.ts'
import { lookInto } from '../sqlite/look-into.ts'
import { assertAlone, assertNotNewer, isOlderStore } from '../sqlite/migrate.ts'
import { type OpenOptions, openDatabase } from '../sqlite/open.ts'
import { storeSize } from '../sqlite/store-files.ts'

/** How to open a store of the data folder. */
export type DataStore = Pick<OpenOptions, 'path' | 'schema' | 'durability'>

/** A store on which work has to be done before it can be used. */
export interface OutdatedStore {
  readonly path: string
  /** What is wrong with the store and what is done about it: the rest of a sentence that begins with its name. */
  readonly why: string
  /** @throws CqrsError CQRS_STORE_LOCKED if {@link bring} cannot begin, because another process has the store open */
  check?(): void
  /** Does the work, which can take minutes. @throws CqrsError CQRS_STORE_… */
  bring(): Promise<void>
}

/**
 * Views of at least this size, in bytes, get new indexes before the system starts. For a smaller view it takes only a
 * moment.
 */
const LARGE_VIEW = 67_108_864

/** The stores that workers keep in a data folder, whether or not they exist, and the views that exist. */
export function dataStores(data: string): DataStore[] {
  const paths = dataPaths(data)
  return [
    { path: paths.events, schema: eventLogSchema },
    { path: paths.queue, schema: queueSchema },
    { path: paths.control, schema: controlSchema },
    { path: paths.actions, schema: actionSchema },
    { path: paths.snapshots, schema: snapshotSchema, durability: 'normal' },
    ...viewsIn(data).map((path): DataStore => ({ path, schema: viewSchema, durability: 'normal' })),
  ]
}

/**
 * Throws if a newer version of this software wrote one of the stores. Views do not count: after a restore, files of a
 * newer version may lie there that control.db does not know, and the projections worker moves those aside. Nor do the
 * snapshots: they are a cache that is in no backup, and go unused if they cannot be read.
 *
 * @throws CqrsError CQRS_STORE_NEWER
 */
export function assertNoneNewer(stores: readonly DataStore[]): void {
  const counting = stores.filter(({ schema }) => schema !== viewSchema && schema !== snapshotSchema)
  for (const { path, schema } of counting) assertNotNewer(path, schema)
}

/** Those of the stores that an older version of this software wrote. */
export function olderStores(stores: readonly DataStore[]): OutdatedStore[] {
  const older = stores.filter(({ path, schema }) => isOlderStore(path, schema))
  return older.map((store) => ({
    path: store.path,
    why: 'was written by an older version: bringing it up to date',
    check: () => assertAlone(store.path, store.schema),
    bring: async () => openDatabase({ ...store, mustExist: true }).close(),
  }))
}

/**
 * Large views that lack an index that the app declares. A new index needs no new version of the projection, so the view
 * is not rebuilt for it.
 *
 * @param large see {@link LARGE_VIEW}
 */
export function viewsWithoutIndex(data: string, app: App, large = LARGE_VIEW): OutdatedStore[] {
  return liveViews(data, app).flatMap(({ path, projection }) => {
    if (storeSize(path) < large) return []
    if (!lookInto(path, (db) => lacksIndex(db, projection.indexes))) return []
    const bring = () => openSqliteView(path, projection, { mustExist: true }).close()
    return [{ path, why: 'lacks an index that the app declares: making it', bring }]
  })
}

/**
 * The files of the generations that are kept up to date and have the app's version. Generations that are being built
 * get their indexes at the end of the build.
 */
function liveViews(data: string, app: App): { path: string; projection: ProjectionDefinition }[] {
  const generations = lookInto(dataPaths(data).control, (db) => db.prepare(LIVE).all()) ?? []
  return generations.flatMap((row) => {
    const projection = app.projections.get(String(row.projection))
    if (!projection || projection.version !== row.version) return []
    const [generation, count] = [Number(row.generation), Number(row.partitions)]
    return Array.from({ length: count }, (_, index) => ({
      path: viewPath(data, projection.name, { generation, partition: { index, count } }),
      projection,
    }))
  })
}

const LIVE = `SELECT projection, generation, version, partitions FROM generations
  WHERE state IN ('active', 'previous', 'returning')`

/** The files of all views, without those that were moved aside; these are in a folder of their own. */
function viewsIn(data: string): string[] {
  const folder = dataPaths(data).views
  try {
    const files = readdirSync(folder).filter((file) => file.endsWith('.db'))
    return files.sort().map((file) => join(folder, file))
  } catch {
    // It does not exist yet or cannot be read: the projections worker reports that.
    return []
  }
}
