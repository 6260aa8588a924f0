import { globSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { dataPaths, viewPath } from '../../src/config/paths.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { controlSchema } from '../../src/control/sqlite/schema.ts'
import inventory from '../../src/inventory/app.ts'
import { inventoryList } from '../../src/inventory/list.ts'
import { eventLogSchema } from '../../src/log/sqlite/schema.ts'
import { viewSchema } from '../../src/projection/sqlite/schema.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { own } from '../../src/sqlite/owner-lock.ts'
import { migrateFirst, migrateStores, outdatedStores } from '../../src/supervisor/migrate-stores.ts'
import type { SpawnChild } from '../../src/supervisor/spawn.ts'
import { dataStores, viewsWithoutIndex } from '../../src/workers/data-stores.ts'
import { older } from '../support/older-store.ts'
import { runProgram, startProgram, startUp } from '../support/program.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

/** A data folder with a log and a view of an older version. */
function olderData() {
  const data = tempFolder()
  const paths = dataPaths(data)
  mkdirSync(paths.views)
  older(paths.events, eventLogSchema, 1).close()
  openDatabase({ path: paths.control, schema: controlSchema }).close()
  const view = viewPath(data, 'inventory-list')
  older(view, viewSchema, 1).close()
  return { data, app: inventory, paths, view }
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
  expect(again).toMatchObject({ exitCode: 0, stdout: `No store in ${data} has to be brought up to date.\n` })
})

test('cqrs worker brings stores up to date as well, and cqrs migrate does nothing else', async () => {
  const cwd = tempFolder()
  const { data, app, paths } = olderData()
  const migrated = await runProgram(['migrate'], cwd, { CQRS_DATA: data })
  expect(migrated).toMatchObject({ exitCode: 0, stderr: '' })
  expect(migrated.stdout).toContain('views/inventory-list.1.db is up to date')
  expect(outdatedStores({ data, app })).toEqual([])

  older(paths.queue, { ...eventLogSchema, name: 'foreign' }, 1).close()
  const failed = await runProgram(['migrate'], cwd, { CQRS_DATA: data })
  expect(failed, 'a store that cannot be read is left to its worker').toMatchObject({ exitCode: 0 })

  const another = olderData()
  const nobody = { CQRS_DATA: another.data, III_URL: 'ws://127.0.0.1:9' }
  const { process: worker, output, exited } = startProgram(['worker', 'queue'], cwd, nobody)
  await until('the log is up to date', () => output.stdout.includes('list.1.db is up to date'), 30_000)
  expect(output.stdout).toContain('events.db is up to date')
  worker.kill('SIGKILL')
  await exited
})

test('a store that somebody has open is reported, and the others are brought up to date', async () => {
  const { data, app, paths, view } = olderData()
  const held = older(join(tempFolder(), 'unused.db'), eventLogSchema, 1)
  held.exec(`ATTACH '${paths.events}' AS held; BEGIN; SELECT count(*) FROM held.events`)
  onTestFinished(() => held.close())
  const said: string[] = []
  await expect(migrateStores({ data, app }, (line) => said.push(line))).rejects.toMatchObject({
    code: 'CQRS_STORE_LOCKED',
  })
  expect(said).toContainEqual(expect.stringContaining('events.db could not be brought up to date'))
  expect(outdatedStores({ data, app }).map(({ path }) => path)).toEqual([paths.events])
  expect(said).toContainEqual(expect.stringContaining(`${view.slice(data.length + 1)} is up to date`))
})

test('a second process waits for the first one, then finds nothing to do', async () => {
  const { data, app, paths } = olderData()
  const first = await own(paths.migrateLock)
  const said: string[] = []
  const second = migrateStores({ data, app }, (line) => said.push(line))
  await until('the second one waits', () => said.length > 0)
  expect(said).toEqual([`Process ${process.pid} is bringing the stores up to date. Waiting for it.`])
  for (const store of outdatedStores({ data, app })) await store.bring()
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
  const { data, app } = olderData()
  const stop = Promise.withResolvers<void>()
  const first = migrateFirst({ data, app, stop: stop.promise, spawn })
  await turn()
  expect(spawned).toEqual([['migrate']])
  stop.resolve()
  await first
  expect(killed).toEqual(['SIGKILL'])

  await migrateStores({ data, app }, nothingToSay)
  await migrateFirst({ data, app, spawn })
  expect(spawned).toHaveLength(1)
})

test('large views get a new index before the system starts, but not those that are being built', async () => {
  const { data, app, paths, view } = olderData()
  await migrateStores({ data, app }, nothingToSay)
  const control = openSqliteControl({ path: paths.control })
  onTestFinished(() => control.close())
  const { name: projection, version } = inventoryList
  await control.adopt({ projection, generation: 1, version, partitions: 1 })
  const purpose = 'serve' as const
  await control.request({ projection, version, partitions: 1, purpose, requireParity: false, by: 'a test' })
  const built = viewPath(data, projection, { generation: 2 })
  for (const path of [view, built]) {
    await openSqliteView(path, { ...inventoryList, indexes: ['category'] }).close()
  }
  const found = viewsWithoutIndex(data, app, 0)
  expect(found).toMatchObject([{ path: view, why: expect.stringContaining('lacks an index') }])
  expect(viewsWithoutIndex(data, app), 'small ones get it when they are opened').toEqual([])
  await found[0]?.bring()
  expect(viewsWithoutIndex(data, app, 0)).toEqual([])
})
