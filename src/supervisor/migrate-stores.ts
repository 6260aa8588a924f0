import { relative } from 'node:path'
import { dataPaths } from '../config/paths.ts'
import { STATE_SCHEMA } from '../engine/state/store.ts'
import type { App } from '../kernel/app.ts'
import { CqrsError, isCqrsError } from '../kernel/errors.ts'
import { own } from '../sqlite/owner-lock.ts'
import { storeSize } from '../sqlite/store-files.ts'
import {
  assertNoneNewer,
  type DataStore,
  dataStores,
  type OutdatedStore,
  olderStores,
  viewsWithoutIndex,
} from '../workers/data-stores.ts'
import { EXIT } from './exit-codes.ts'
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

/**
 * The stores of a data folder on which work has to be done before the system can start.
 *
 * @throws CqrsError CQRS_STORE_NEWER if this version cannot work with the folder at all
 */
export function outdatedStores(folder: DataFolder): OutdatedStore[] {
  assertNoneNewer(allStores(folder.data))
  return WORK.flatMap((find) => find(folder))
}

/**
 * Brings the stores of a data folder up to date, one after the other. Each step is one transaction, so this process may
 * be killed at any time: the next start does the rest. A second process that does the same waits for the first one.
 *
 * No store is changed if one is of a newer version, or if a process of the older version has one open: otherwise
 * neither version could work with the folder.
 *
 * @param say takes a line for people
 * @throws CqrsError CQRS_STORE_NEWER or CQRS_STORE_LOCKED before anything was changed; otherwise the first error, after
 *   all stores were tried: CQRS_STORE_FULL, or another CQRS_STORE_…
 */
export async function migrateStores(folder: DataFolder, say: (line: string) => void): Promise<void> {
  const lock = await own(dataPaths(folder.data).migrateLock, {
    onWaiting: (pid) =>
      say(`Process ${pid ?? '(unknown)'} is bringing the stores up to date. Waiting for it.`),
  })
  const failures: unknown[] = []
  try {
    assertNoneOpen(outdatedStores(folder))
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

/** @throws CqrsError CQRS_STORE_LOCKED */
function assertNoneOpen(stores: readonly OutdatedStore[]): void {
  for (const store of stores) {
    try {
      store.check?.()
    } catch (error) {
      // Whatever else is wrong with a store is told when it is its turn, and stops none of the others.
      if (isCqrsError(error, 'CQRS_STORE_LOCKED')) throw error
    }
  }
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
 * such processes start. Also resolves if a store could not be brought up to date because of what is wrong with it: that
 * is printed, and the process that works with the store reports what it means.
 *
 * @throws CqrsError CQRS_STORE_NEWER or CQRS_STORE_LOCKED if this version cannot work with the folder as a whole. No
 *   process may start then: each would bring its own stores up to date, or write to those that are not newer.
 */
export async function migrateFirst({ stop, spawn = spawnChild, ...folder }: MigrateFirstOptions) {
  if (outdatedStores(folder).length === 0) return
  const exited = Promise.withResolvers<number | null>()
  const child = spawn(
    { name: 'migrate', module: CLI, args: ['migrate'] },
    { ready: () => {}, alive: () => {}, exited: ({ code }) => exited.resolve(code) },
  )
  void stop?.then(() => child.kill('SIGKILL'))
  if ((await exited.promise) !== EXIT.locked.code) return
  throw new CqrsError(
    'CQRS_STORE_LOCKED',
    'The stores were not brought up to date, because a process of the older version has one of them open; the message ' +
      'above names it. Stop every process that works on this data folder, then start again.',
  )
}
