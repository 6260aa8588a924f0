import { globSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { snapshotSchema } from '../../src/command/sqlite/snapshot-schema.ts'
import { dataPaths, viewPath } from '../../src/config/paths.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { controlSchema } from '../../src/control/sqlite/schema.ts'
import inventory from '../../src/inventory/app.ts'
import { inventoryList } from '../../src/inventory/list.ts'
import { eventLogSchema } from '../../src/log/sqlite/schema.ts'
import { viewSchema } from '../../src/projection/sqlite/schema.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { queueSchema } from '../../src/queue/sqlite/schema.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { own } from '../../src/sqlite/owner-lock.ts'
import {
  allStores,
  migrateFirst,
  migrateStores,
  outdatedStores,
} from '../../src/supervisor/migrate-stores.ts'
import type { SpawnChild } from '../../src/supervisor/spawn.ts'
import { dataStores, olderStores, viewsWithoutIndex } from '../../src/workers/data-stores.ts'
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

/** Keeps a store open, as a process of the older version does. */
function holdOpen(path: string) {
  const held = older(join(tempFolder(), 'unused.db'), eventLogSchema, 1)
  held.exec(`ATTACH '${path}' AS held; BEGIN; SELECT count(*) FROM held.sqlite_schema`)
  onTestFinished(() => held.close())
}

test('while a process of the older version has one store open, no store is changed', async () => {
  const cwd = tempFolder()
  const { data, app, view, paths } = olderData()
  holdOpen(view)
  const said: string[] = []
  await expect(migrateStores({ data, app }, (line) => said.push(line))).rejects.toMatchObject({
    code: 'CQRS_STORE_LOCKED',
    message: expect.stringContaining(view),
  })
  expect(said).toEqual([])
  const worker = await runProgram(['worker', 'commands'], cwd, {
    CQRS_DATA: data,
    III_URL: 'ws://127.0.0.1:9',
  })
  expect(worker, 'nor by the process that works with the log').toMatchObject({ exitCode: 4 })
  expect(worker.stderr).toContain(view)
  expect(outdatedStores({ data, app }).map(({ path }) => path)).toEqual([paths.events, view])
})

test.for(['up', 'migrate', 'worker'])(
  'cqrs %s changes and starts nothing where one store is of a newer version',
  async (command) => {
    const cwd = tempFolder()
    const { data, view, paths } = olderData()
    const newer = {
      ...queueSchema,
      migrations: [...queueSchema.migrations, 'CREATE TABLE later (id INTEGER)'],
    }
    openDatabase({ path: paths.queue, schema: newer }).close()
    const args = command === 'worker' ? ['worker', 'commands'] : [command]
    const refused = await runProgram(args, cwd, { CQRS_DATA: data, III_PORT: '0', III_HTTP_PORT: '0' })
    expect(refused).toMatchObject({ exitCode: 6, stdout: '' })
    expect(refused.stderr).toMatch(
      /^CQRS_STORE_NEWER: The queue store .* restore a backup from before the upgrade\.$/m,
    )
    expect(olderStores(allStores(data)).map(({ path }) => path)).toEqual([paths.events, view])
  },
)

test.for([
  [
    'a view',
    'a file that nobody needs any more may be one',
    viewSchema,
    viewPath('', 'inventory-list', { generation: 2 }),
  ],
  [
    'the file of snapshots',
    'it is a cache, which no restore replaces',
    snapshotSchema,
    dataPaths('').snapshots,
  ],
] as const)('%s of a newer version stops no start: %s', async ([, , schema, path]) => {
  const { data, app } = olderData()
  const newer = { ...schema, migrations: [...schema.migrations, 'CREATE TABLE later (id INTEGER)'] }
  openDatabase({ path: join(data, path), schema: newer }).close()
  await migrateStores({ data, app }, nothingToSay)
  expect(outdatedStores({ data, app })).toEqual([])
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
