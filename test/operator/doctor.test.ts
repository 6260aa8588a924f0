import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { dataPaths } from '../../src/config/paths.ts'
import {
  checkAside,
  checkDataFolder,
  checkStores,
  newestWrite,
} from '../../src/operator/doctor/data-folder.ts'
import { checkPorts, checkSystem } from '../../src/operator/doctor/network.ts'
import { checkClock, checkEnvironment, checkRuntime } from '../../src/operator/doctor/runtime.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { counterSchema } from '../support/counter-schema.ts'
import { mountSmall, needsMounts } from '../support/mounts.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { run } from './fake-process.ts'

/** A user without rights. */
const NOBODY = 65_534

const NOW = Date.UTC(2026, 5, 1)

test('an old Node and an SQLite with known bugs fail', () => {
  const statuses = checkRuntime({ node: '22.1.0', sqlite: '3.46.0' }).map(({ status }) => status)
  expect(statuses).toEqual(['fail', 'fail'])
  expect(checkRuntime(process.versions).map(({ status }) => status)).toEqual(['ok', 'ok'])
})

test('a clock that was never set fails; one that stands before the data is worth a look', () => {
  expect(checkClock(0, undefined).status).toBe('fail')
  expect(checkClock(NOW, NOW + 60_000).status).toBe('warn')
  expect(checkClock(NOW, NOW - 60_000).status).toBe('ok')
})

test('a mistyped variable is found with the name it was meant to be', () => {
  expect(checkEnvironment({ env: { CQRS_LOG_LEVLE: 'debug' }, cwd: tempFolder() })).toEqual([
    {
      name: 'environment',
      status: 'warn',
      found: 'CQRS_LOG_LEVLE is not a setting',
      advice: 'Did you mean CQRS_LOG_LEVEL?',
    },
  ])
})

test('a data folder that others can read is worth a look; one that is not there yet is fine', async () => {
  const data = join(tempFolder(), 'data')
  expect((await checkDataFolder(data))[0]).toMatchObject({ status: 'ok' })
  mkdirSync(data, { mode: 0o755 })
  chmodSync(data, 0o755)
  expect((await checkDataFolder(data))[0]).toMatchObject({
    status: 'warn',
    advice: expect.stringContaining('chmod 700'),
  })
})

test('a disk that is read-only fails with that, and a store that cannot be opened there is not called damaged', async (context) => {
  needsMounts(context)
  const data = join(tempFolder(), 'data')
  const { remount } = mountSmall(data, '8m')
  openDatabase({ path: join(data, 'events.db'), schema: counterSchema }).close()
  expect((await checkDataFolder(data))[0]).toMatchObject({ status: 'ok' })
  remount('ro')
  expect((await checkDataFolder(data))[0]).toMatchObject({
    status: 'fail',
    found: `${data} cannot be written (EROFS)`,
    advice: expect.stringContaining('read-only'),
  })
  const [store] = await checkStores(data)
  expect(store).toMatchObject({ name: 'events.db', status: 'fail' })
  expect(store?.found).toContain('cannot be read')
  expect(store?.advice).not.toContain('backup')
  remount('rw')
  expect(await checkStores(data)).toMatchObject([{ status: 'ok' }])
})

test('a folder to which access is granted, and in which no file can be opened to be written, fails', async () => {
  const data = tempFolder()
  expect((await checkDataFolder(data))[0]).toMatchObject({ status: 'ok' })
  // A folder in the place of the file is refused by the kernel as the file is on a disk that it has given up.
  mkdirSync(dataPaths(data).writeProbe)
  expect((await checkDataFolder(data))[0]).toMatchObject({
    status: 'fail',
    found: `${data} cannot be written (EISDIR)`,
  })
})

test('what another user owns is named, and keeps nothing else from being looked at', async (context) => {
  if (process.getuid?.() !== 0) context.skip('only root can make files of another user')
  const data = tempFolder()
  mkdirSync(join(data, 'compiled'), { mode: 0o700 })
  openDatabase({ path: join(data, 'events.db'), schema: counterSchema }).close()
  openDatabase({ path: join(data, 'queue.db'), schema: counterSchema }).close()
  for (const path of [data, join(data, 'queue.db')]) chownSync(path, NOBODY, NOBODY)
  process.seteuid?.(NOBODY)
  const [checks, [folder]] = await Promise.all([checkStores(data), checkDataFolder(data)]).finally(() =>
    process.seteuid?.(0),
  )
  expect(checks).toMatchObject([
    { name: 'compiled', status: 'fail', found: expect.stringContaining('cannot be read (EACCES') },
    { name: 'events.db', status: 'fail', found: expect.stringContaining('cannot be read (') },
    { name: 'queue.db', status: 'ok' },
  ])
  expect(folder).toMatchObject({ status: 'ok' })
})

test('a store that can be read and not written fails, and the file is named', async (context) => {
  if (process.getuid?.() !== 0) context.skip('only root can make files of another user')
  const data = tempFolder()
  for (const name of ['events.db', 'queue.db', 'state.db']) {
    const db = openDatabase({ path: join(data, name), schema: counterSchema })
    onTestFinished(() => db.close())
  }
  for (const name of ['', ...readdirSync(data)]) chownSync(join(data, name), NOBODY, NOBODY)
  chmodSync(join(data, 'events.db'), 0o400)
  chownSync(join(data, 'queue.db-wal'), 0, 0)
  chmodSync(join(data, 'queue.db-wal'), 0o644)
  process.seteuid?.(NOBODY)
  const checks = await checkStores(data).finally(() => process.seteuid?.(0))
  expect(checks).toMatchObject([
    {
      name: 'events.db',
      status: 'fail',
      found: expect.stringContaining(', events.db cannot be written (EACCES)'),
      advice: expect.stringContaining(`chmod 600 ${join(data, 'events.db')}`),
    },
    {
      name: 'queue.db',
      status: 'fail',
      found: expect.stringContaining(', queue.db-wal cannot be written (EACCES)'),
    },
    { name: 'state.db', status: 'ok' },
  ])
})

test('every store is looked into without being changed; a damaged one fails', async () => {
  const data = tempFolder()
  openDatabase({ path: join(data, 'views', 'counter.1.db'), schema: counterSchema }).close()
  writeFileSync(join(data, 'events.db'), 'this is no database, however long it is'.repeat(100))
  const before = await newestWrite(data)
  expect(await checkStores(data)).toMatchObject([
    { name: 'events.db', status: 'fail' },
    { name: join('views', 'counter.1.db'), status: 'ok', found: expect.stringContaining('schema 1, wal') },
  ])
  expect(await newestWrite(data)).toBe(before)
})

test('a store of a newer version, or of something else, fails before a start refuses it', async () => {
  const data = tempFolder()
  const stores = ['queue.db', 'state.db', 'events.db'].map((name) => ({
    path: join(data, name),
    schema: counterSchema,
  }))
  const [queue, state] = stores.map(({ path, schema }) => {
    const db = openDatabase({ path, schema })
    onTestFinished(() => db.close())
    return db
  })
  queue?.exec('PRAGMA user_version = 99')
  state?.exec('PRAGMA application_id = 1')
  expect(await checkStores(data, stores)).toMatchObject([
    { name: 'events.db', status: 'ok' },
    {
      name: 'queue.db',
      status: 'fail',
      advice: expect.stringMatching(/schema version 99; this program knows 1\. Run the newer/),
    },
    { name: 'state.db', status: 'fail', advice: expect.stringContaining('not the') },
  ])
})

test('a damaged cache of snapshots needs no backup, which has none of it: it can be removed', async () => {
  const data = tempFolder()
  writeFileSync(join(data, 'snapshots.db'), 'this is no database, however long it is'.repeat(100))
  expect(await checkStores(data)).toMatchObject([
    { name: 'snapshots.db', status: 'fail', advice: expect.stringMatching(/only a cache: .* remove it/) },
  ])
})

test('a log that opens, and has a damaged page far behind its first one, fails with what is wrong', async () => {
  const data = tempFolder()
  const path = join(data, 'events.db')
  const db = openDatabase({ path, schema: counterSchema })
  db.exec('CREATE TABLE keys (key TEXT PRIMARY KEY) WITHOUT ROWID')
  db.exec(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO keys SELECT printf('key-%030d', i) FROM n",
  )
  db.close()
  expect(await checkStores(data)).toMatchObject([{ name: 'events.db', status: 'ok' }])
  const bytes = readFileSync(path)
  bytes.fill(0x5a, 20 * 4_096, 21 * 4_096)
  writeFileSync(path, bytes)
  expect(await checkStores(data)).toMatchObject([
    {
      name: 'events.db',
      status: 'fail',
      found: expect.stringMatching(/page/),
      advice: expect.stringContaining('CQRS_STORE_CORRUPT'),
    },
  ])
})

test('a store is as large as it is with what still lies in its write-ahead log', async () => {
  const data = tempFolder()
  const path = join(data, 'counter.db')
  const db = openDatabase({ path, schema: counterSchema, checkpointPages: 0 })
  onTestFinished(() => db.close())
  db.exec('CREATE TABLE much (bytes BLOB); INSERT INTO much VALUES (zeroblob(3000000))')
  expect(statSync(path).size).toBeLessThan(100_000)
  expect(await checkStores(data)).toMatchObject([
    { name: 'counter.db', found: expect.stringMatching(/, wal, [23]\.\d MiB$/) },
  ])
})

test('views that were moved aside are told with what they take, and are no stores to be mended', async () => {
  const data = tempFolder()
  expect(await checkAside(data)).toEqual([])
  const aside = join(data, 'views', 'aside')
  for (const folder of ['1', '2']) {
    mkdirSync(join(aside, folder), { recursive: true })
    writeFileSync(join(aside, folder, 'counter.1.db'), 'x'.repeat(3_000))
  }
  writeFileSync(join(aside, '1', 'counter.1.db-wal'), 'x'.repeat(4_000))
  expect(await checkStores(data)).toEqual([])
  expect(await checkAside(data)).toEqual([
    {
      name: join('views', 'aside'),
      status: 'warn',
      found: '2 views moved aside, 10 KiB',
      advice: expect.stringContaining(`remove ${aside}`),
    },
  ])
})

test('a port that another program holds fails, one that the running system holds is fine', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  const config = loadConfig({ env: { III_PORT: String(port), III_HTTP_PORT: '0' }, cwd: tempFolder() })
  expect((await checkPorts(config, false))[0]).toMatchObject({
    status: 'fail',
    advice: expect.stringContaining('III_PORT='),
  })
  expect((await checkPorts(config, true))[0]).toMatchObject({ status: 'ok' })
})

const orphan = {
  name: 'inventory-list',
  kind: 'projection' as const,
  projection: 'inventory-list',
  version: 1,
  servingVersion: 1,
  generation: 1,
  frozen: false,
  damaged: null,
  paused: false,
  building: false,
  builds: [],
  position: 1,
  lag: 0,
  lagSeconds: 0,
  parked: { retrying: 0, dead: 0, waiting: 0 },
  effects: { pending: 0, dead: 0 },
  owned: false,
  waitsFor: null,
  queue: { depth: 0, deadLetters: 0 },
}

/** What is found in a system of that projection, by the name of the check. */
function found(projections: readonly object[], others: number | Error, env = {}) {
  const config = loadConfig({ env, cwd: tempFolder() })
  const status = { app: 'inventory', head: 1, takenAt: '', projections }
  return new Map(checkSystem(config, status as never, others).map((check) => [check.name, check]))
}

test('a projection without an owner fails', () => {
  const checks = found([orphan], 7)
  expect(checks.get('projections')).toMatchObject({ status: 'fail', found: 'no owner: inventory-list' })
  expect(checks.get('dead letters'), 'of other queues').toMatchObject({ status: 'warn', found: '7' })
  expect(found([orphan], 0).get('dead letters')).toMatchObject({ status: 'ok', found: 'none' })
})

test.each([
  { what: 'a queue', projections: [{ ...orphan, queue: null }], others: 0 },
  { what: 'a view', projections: [{ ...orphan, parked: null, effects: null }], others: 0 },
  { what: 'the other queues', projections: [orphan], others: new Error('It hangs.') },
  { what: 'the queues of an app without projections', projections: [], others: new Error('It hangs.') },
])('it does not say that there are no dead letters if it could not ask $what', ({ projections, others }) => {
  const checks = found(projections, others)
  expect(checks.get('dead letters')).toMatchObject({ status: 'warn', found: 'not known' })
  if (projections[0]?.parked !== null) expect(checks.get('queue')).toMatchObject({ status: 'warn' })
})

test('where there is no app, a queue that does not answer fails', () => {
  const checks = found([], new Error('It hangs.'), { CQRS_APP: 'none' })
  expect(checks.get('queue')).toMatchObject({ status: 'fail', advice: 'It hangs.' })
  expect(found([], 0, { CQRS_APP: 'none' }).get('queue')).toMatchObject({ status: 'ok' })
})

test('the command ends with 1 if a check fails, and prints nothing but JSON with --json', async () => {
  const broken = await run(['doctor', '--json'], { III_PORT: 'x' })
  expect(broken.exitCode).toBe(1)
  expect(JSON.parse(broken.stdout)).toContainEqual(
    expect.objectContaining({
      name: 'configuration',
      status: 'fail',
      found: expect.stringContaining('III_PORT'),
    }),
  )
})

test('on a terminal what was found goes on below its column, and nothing of it is left out', async () => {
  const { stdout } = await run(['doctor'], { CQRS_LOG_LEVLE: 'debug', III_PORT: 'x' }, 50)
  const lines = stripVTControlCharacters(stdout).split('\n')
  expect(lines.filter((line) => line.length > 50)).toEqual([])
  const column = lines[0]?.indexOf(process.versions.node) ?? 0
  const first = lines.findIndex((line) => line.startsWith('FAIL'))
  expect(lines[first + 1]?.search(/\S/)).toBe(column)
  expect(lines.join(' ').replaceAll(/ +/g, ' ')).toContain('III_PORT is "x". Allowed: a whole number')
})
