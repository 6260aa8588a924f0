import { relative } from 'node:path'
import { dataPaths } from '../config/paths.ts'
import { STATE_SCHEMA } from '../engine/state/store.ts'
import type { App } from '../kernel/app.ts'
import { own } from '../sqlite/owner-lock.ts'
import { storeSize } from '../sqlite/store-files.ts'
import {
  type DataStore,
  dataStores,
  type OutdatedStore,
  olderStores,
  viewsWithoutIndex,
} from '../workers/data-stores.ts'
import { CLI, type SpawnChild, spawnChild } from './spawn.ts'

/** A data folder and the app whose stores are in it. */
export interface DataFolder {
  readonly data: string
  readonly app: App
}

/** The kinds of work that a store may need, in the order in which they are done. */
const WORK: readonly ((folder: DataFolder) => OutdatedStore[])[] = [
  ({ data }) => olderStores(allStores(data)),
  ({ data, app }) => viewsWithoutIndex(data, app),
]

/** All stores of a data folder, whether or not they exist, and the views that exist. */
export function allStores(data: string): DataStore[] {
  return [...dataStores(data), { path: dataPaths(data).state, schema: STATE_SCHEMA }]
}

/** The stores of a data folder on which work has to be done before the system can start. */
export function outdatedStores(folder: DataFolder): OutdatedStore[] {
  return WORK.flatMap((find) => find(folder))
}

/**
 * Brings the stores of a data folder up to date, one after the other. Each step is one transaction, so this process may
 * be killed at any time. A second process that does the same waits for the first one.
 *
 * @param say takes a line for people
 * @throws CqrsError the first error, after all stores were tried: CQRS_STORE_LOCKED if a process of an older version
 *   still has a store open, or another CQRS_STORE_…
 */
export async function migrateStores(folder: DataFolder, say: (line: string) => void): Promise<void> {
  const lock = await own(dataPaths(folder.data).migrateLock, {
    onWaiting: (pid) =>
      say(`Process ${pid ?? '(unknown)'} is bringing the stores up to date. Waiting for it.`),
  })
  const failures: unknown[] = []
  try {
    for (const find of WORK) {
      for (const store of find(folder)) {
        await bring(store, relative(folder.data, store.path), say).catch((error) => failures.push(error))
      }
    }
  } finally {
    lock.release()
  }
  if (failures.length > 0) throw failures[0]
}

async function bring(store: OutdatedStore, name: string, say: (line: string) => void): Promise<void> {
  const mebibytes = Math.ceil(storeSize(store.path) / 1024 ** 2)
  say(`${name} (${mebibytes} MiB) ${store.why}.`)
  const begun = performance.now()
  try {
    await store.bring()
    say(`${name} is up to date after ${((performance.now() - begun) / 1_000).toFixed(1)} s.`)
  } catch (error) {
    say(`${name} could not be brought up to date: ${(error as Error).message}`)
    throw error
  }
}

/** What {@link migrateFirst} needs. */
export interface MigrateFirstOptions extends DataFolder {
  /** Ends the work when it resolves. A store that is not finished by then stays as it was. */
  readonly stop?: Promise<unknown>
  /** Default {@link spawnChild}. */
  readonly spawn?: SpawnChild
}

/**
 * Runs `cqrs migrate` if there is work for it. For a large store this can take minutes. A supervised process that did
 * it would be killed because it hangs or is not ready in time, and would begin again and again. So it is done before
 * such processes start. Also resolves if a store could not be brought up to date: that is printed, and the process that
 * works with the store reports what it means.
 */
export async function migrateFirst({ stop, spawn = spawnChild, ...folder }: MigrateFirstOptions) {
  if (outdatedStores(folder).length === 0) return
  const exited = Promise.withResolvers<void>()
  const child = spawn(
    { name: 'migrate', module: CLI, args: ['migrate'] },
    { ready: () => {}, alive: () => {}, exited: () => exited.resolve() },
  )
  void stop?.then(() => child.kill('SIGKILL'))
  await exited.promise
}
