import { globSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { dataPaths, viewPath } from '../../src/config/paths.ts'
import { controlSchema } from '../../src/control/sqlite/schema.ts'
import { eventLogSchema } from '../../src/log/sqlite/schema.ts'
import { viewSchema } from '../../src/projection/sqlite/schema.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { own } from '../../src/sqlite/owner-lock.ts'
import { migrateFirst, migrateStores, olderStores } from '../../src/supervisor/older-stores.ts'
import type { SpawnChild } from '../../src/supervisor/spawn.ts'
import { dataStores } from '../../src/workers/data-stores.ts'
import { older } from '../support/older-store.ts'
import { runProgram, startUp } from '../support/program.ts'
import { tempFolder } from '../support/temp-folder.ts'

// Each start is six processes, and machines that run tests are busy.
vi.setConfig({ testTimeout: 90_000 })

/** A data folder with a log and a view of an older version. */
function olderData() {
  const data = tempFolder()
  const paths = dataPaths(data)
  mkdirSync(paths.views)
  older(paths.events, eventLogSchema, 1).close()
  openDatabase({ path: paths.control, schema: controlSchema }).close()
  const view = viewPath(data, 'inventory-list')
  older(view, viewSchema, 1).close()
  return { data, paths, view }
}

const nothingToSay = () => {}

test('cqrs up brings stores up to date before it starts what has to be ready in time', async () => {
  const cwd = tempFolder()
  const data = join(cwd, 'data')
  mkdirSync(data)
  older(dataPaths(data).events, eventLogSchema, 1).close()
  const { output, process: up, exited } = await startUp(cwd)
  const lines = output.stdout.split('\n').filter((line) => line.startsWith('events.db'))
  expect(lines).toEqual([
    expect.stringMatching(
      /^events\.db \(\d+ MiB\) was written by an older version: bringing it up to date\.$/,
    ),
    expect.stringMatching(/^events\.db is up to date after [\d.]+ s\.$/),
  ])
  const known = [...dataStores(data).map(({ path }) => path), dataPaths(data).state]
  expect(known.sort(), 'no store is forgotten').toEqual(globSync(`${data}/**/*.db`).sort())
  up.kill('SIGTERM')
  expect(await exited).toBe(0)
  const again = await runProgram(['migrate'], cwd)
  expect(again).toMatchObject({ exitCode: 0, stdout: `Every store in ${data} is up to date.\n` })
})

test('cqrs worker brings stores up to date as well, and cqrs migrate does nothing else', async () => {
  const cwd = tempFolder()
  const { data, paths } = olderData()
  const migrated = await runProgram(['migrate'], cwd, { CQRS_DATA: data })
  expect(migrated).toMatchObject({ exitCode: 0, stderr: '' })
  expect(migrated.stdout).toContain('views/inventory-list.1.db is up to date')
  expect(olderStores(data)).toEqual([])

  older(paths.queue, { ...eventLogSchema, name: 'foreign' }, 1).close()
  const failed = await runProgram(['migrate'], cwd, { CQRS_DATA: data })
  expect(failed, 'a store that cannot be read is left to its worker').toMatchObject({ exitCode: 0 })

  const another = olderData()
  const worker = await runProgram(['worker', 'queue'], cwd, {
    CQRS_DATA: another.data,
    III_URL: 'ws://127.0.0.1:9',
    CQRS_APP: './nowhere.ts',
  })
  expect(worker.stdout).toContain('events.db is up to date')
})

test('a store that somebody has open is reported, and the others are brought up to date', async () => {
  const { data, paths, view } = olderData()
  const held = older(join(tempFolder(), 'unused.db'), eventLogSchema, 1)
  held.exec(`ATTACH '${paths.events}' AS held; BEGIN; SELECT count(*) FROM held.events`)
  onTestFinished(() => held.close())
  const said: string[] = []
  await expect(migrateStores(data, (line) => said.push(line))).rejects.toMatchObject({
    code: 'CQRS_STORE_LOCKED',
  })
  expect(said).toContainEqual(expect.stringContaining('events.db could not be brought up to date'))
  expect(olderStores(data).map(({ path }) => path)).toEqual([paths.events])
  expect(said).toContainEqual(expect.stringContaining(`${view.slice(data.length + 1)} is up to date`))
})

test('a second process waits for the first one, then finds nothing to do', async () => {
  const { data, paths } = olderData()
  const first = await own(paths.migrateLock)
  const said: string[] = []
  const second = migrateStores(data, (line) => said.push(line))
  await vi.waitUntil(() => said.length > 0)
  expect(said).toEqual([`Process ${process.pid} is bringing the stores up to date. Waiting for it.`])
  for (const { path, schema } of olderStores(data)) openDatabase({ path, schema }).close()
  first.release()
  await second
  expect(said).toHaveLength(1)
})

test('no process is started where nothing is older, and one that is told to stop is killed', async () => {
  const killed: NodeJS.Signals[] = []
  const spawned: string[][] = []
  const spawn: SpawnChild = ({ args }, { exited }) => {
    spawned.push([...args])
    return {
      pid: 1,
      kill(signal) {
        killed.push(signal)
        exited({ code: null, signal })
      },
    }
  }
  const { data } = olderData()
  const stop = Promise.withResolvers<void>()
  const first = migrateFirst({ data, stop: stop.promise, spawn })
  await turn()
  expect(spawned).toEqual([['migrate']])
  stop.resolve()
  await first
  expect(killed).toEqual(['SIGKILL'])

  await migrateStores(data, nothingToSay)
  await migrateFirst({ data, spawn })
  expect(spawned).toHaveLength(1)
})
