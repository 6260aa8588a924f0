import { relative } from 'node:path'
import { dataPaths } from '../config/paths.ts'
import { STATE_SCHEMA } from '../engine/state/store.ts'
import { isOlderStore } from '../sqlite/migrate.ts'
import { openDatabase } from '../sqlite/open.ts'
import { own } from '../sqlite/owner-lock.ts'
import { storeSize } from '../sqlite/store-files.ts'
import { type DataStore, dataStores } from '../workers/data-stores.ts'
import { CLI, type SpawnChild, spawnChild } from './spawn.ts'

/** The stores of a data folder that an older version of this software wrote. */
export function olderStores(data: string): DataStore[] {
  const stores = [...dataStores(data), { path: dataPaths(data).state, schema: STATE_SCHEMA }]
  return stores.filter(({ path, schema }) => isOlderStore(path, schema))
}

/**
 * Brings the older stores of a data folder up to date, one after the other. Each is one transaction, so this process may be
 * killed at any time. A second process that does the same waits for the first one.
 *
 * @param say takes a line for people
 * @throws CqrsError the first error, after all stores were tried: CQRS_STORE_LOCKED if a process of the older version still
 *   has a store open, or another CQRS_STORE_…
 */
export async function migrateStores(data: string, say: (line: string) => void): Promise<void> {
  const lock = await own(dataPaths(data).migrateLock, {
    onWaiting: (pid) =>
      say(`Process ${pid ?? '(unknown)'} is bringing the stores up to date. Waiting for it.`),
  })
  try {
    const failures = olderStores(data).flatMap((store) => migrated(store, relative(data, store.path), say))
    if (failures.length > 0) throw failures[0]
  } finally {
    lock.release()
  }
}

function migrated(store: DataStore, name: string, say: (line: string) => void): unknown[] {
  const mebibytes = Math.ceil(storeSize(store.path) / 1024 ** 2)
  say(`${name} (${mebibytes} MiB) was written by an older version: bringing it up to date.`)
  const begun = performance.now()
  try {
    openDatabase({ ...store, mustExist: true }).close()
    say(`${name} is up to date after ${((performance.now() - begun) / 1_000).toFixed(1)} s.`)
    return []
  } catch (error) {
    say(`${name} could not be brought up to date: ${(error as Error).message}`)
    return [error]
  }
}

/** What {@link migrateFirst} needs. */
export interface MigrateFirstOptions {
  readonly data: string
  /** Ends the wait, and the work; what was not finished is as it was. */
  readonly stop?: Promise<unknown>
  /** Default {@link spawnChild}. */
  readonly spawn?: SpawnChild
}

/**
 * Runs `cqrs migrate` if there is something for it to do, before any process opens a store that has limits to the time it
 * may stand still: with a large store it can take minutes, and a process that is killed meanwhile begins again and again.
 * Resolves also if a store could not be brought up to date: that is printed, and the process that works with it says what
 * it means.
 */
export async function migrateFirst({ data, stop, spawn = spawnChild }: MigrateFirstOptions) {
  if (olderStores(data).length === 0) return
  const exited = Promise.withResolvers<void>()
  const child = spawn(
    { name: 'migrate', module: CLI, args: ['migrate'] },
    { ready: () => {}, alive: () => {}, exited: () => exited.resolve() },
  )
  void stop?.then(() => child.kill('SIGKILL'))
  await exited.promise
}
