import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { TriggerAction } from 'iii-sdk'
import { expect, test, vi } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import type { ProjectionsList } from '../../src/operator/generations-contract.ts'
import { connect } from '../support/connect.ts'
import { damageView } from '../support/damage-view.ts'
import { CLI, runNode, runProgram, startUp } from '../support/program.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 150_000 })

type Program = (...args: string[]) => ReturnType<typeof runProgram>

async function states(cqrs: Program): Promise<Record<string, string>> {
  const { stdout } = await cqrs('projections', '--json')
  const { projections } = JSON.parse(stdout) as ProjectionsList
  return Object.fromEntries(
    projections.flatMap(({ name, generations }) =>
      generations.map(({ generation, state }) => [`${name} ${generation}`, state]),
    ),
  )
}

/** What a folder says serves, and how many effects its reactor would send. */
function restored(data: string) {
  const control = new DatabaseSync(join(data, 'control.db'), { readOnly: true })
  const serving = control
    .prepare(`SELECT projection, generation FROM generations WHERE state = 'active'`)
    .all()
  control.close()
  const active = Object.fromEntries(serving.map((row) => [String(row.projection), Number(row.generation)]))
  const reactor = `inventory-alert.${active['inventory-alert']}.db`
  const view = new DatabaseSync(join(data, 'views', reactor), { readOnly: true })
  const { effects } = view.prepare('SELECT count(*) AS effects FROM effects').get() as { effects: number }
  view.close()
  return { active, effects }
}

/** Starts what was backed up: every view is as its log says, and the same generations serve. */
async function expectWhole(data: string): Promise<void> {
  const { active, effects } = restored(data)
  expect(effects).toBe(0)
  const folder = tempFolder()
  const system = await startUp(folder, { CQRS_DATA: data })
  const cqrs: Program = (...args) => runProgram(args, folder, { III_URL: system.engine, CQRS_DATA: data })
  const found = await states(cqrs)
  for (const [projection, generation] of Object.entries(active)) {
    // What was to return goes on to do so.
    expect(found[`${projection} ${generation}`]).toMatch(/active|previous/)
  }
  expect(await cqrs('audit')).toMatchObject({ exitCode: 0 })
  const verified = await cqrs('verify')
  expect(verified).toMatchObject({ exitCode: 0 })
  expect(verified.stdout.match(/all as the log says/g)).toHaveLength(3)
  system.process.kill('SIGTERM')
  await system.exited
}

test('a backup that is taken after a rebuild and while generations come and go is whole', async () => {
  const folder = tempFolder()
  const data = join(folder, 'data')
  const head = await seedInventory({ data, events: 5_000, items: 20 })
  const { engine, http } = await startUp(folder, { CQRS_DATA: data })
  const cqrs: Program = (...args) => runProgram(args, folder, { III_URL: engine, CQRS_DATA: data })
  await until(
    'the list is at the head',
    async () => (await fetch(`${http}/inventory?after=${head}`)).ok,
    60_000,
  )
  const take = (name: string) => cqrs('backup', name)

  for (const projection of ['inventory-list', 'inventory-alert']) {
    expect(await cqrs('rebuild', projection)).toMatchObject({ exitCode: 0 })
  }
  await until('every effect was sent', () => restored(data).effects === 0, 60_000)
  expect(await take('after')).toMatchObject({ exitCode: 0, stderr: '' })
  expect(restored(join(folder, 'after')).active).toEqual({
    'inventory-alert': 2,
    'inventory-list': 2,
    'inventory-stats': 1,
  })
  await expectWhole(join(folder, 'after'))
  expect((await take('after')).stderr).toContain('exists already')

  let isOver = false
  const changes = (async () => {
    while (!isOver) {
      for (const command of ['rebuild', 'rollback', 'prune']) await cqrs(command, 'inventory-alert')
    }
  })()
  const during = await take('during')
  isOver = true
  await changes
  expect(during).toMatchObject({
    exitCode: 0,
    stderr: expect.stringMatching(/^(A generation .* begins anew\.\n)*$/),
  })
  await expectWhole(join(folder, 'during'))
})

test('a backup during which a generation stopped serving and served again is begun anew', async () => {
  const folder = tempFolder()
  const data = join(folder, 'data')
  await seedInventory({ data, events: 100, items: 5 })
  const { process, exited } = await startUp(folder, { CQRS_DATA: data })
  process.kill('SIGTERM')
  await exited
  // Two rollbacks while the log is copied for the first time: the same generation serves as before, and each has taken over.
  const meanwhile = join(folder, 'meanwhile.mjs')
  writeFileSync(
    meanwhile,
    `import { DatabaseSync } from 'node:sqlite'
    const { prepare } = DatabaseSync.prototype
    let isFirst = true
    DatabaseSync.prototype.prepare = function (sql) {
      if (isFirst && sql.startsWith('VACUUM') && this.location().endsWith('events.db')) {
        isFirst = false
        const control = new DatabaseSync(${JSON.stringify(join(data, 'control.db'))})
        control.exec("UPDATE projections SET swaps = swaps + 2 WHERE name = 'inventory-alert'")
        control.close()
      }
      return prepare.call(this, sql)
    }`,
  )
  const to = join(folder, 'backup')
  const taken = await runNode(['--import', meanwhile, CLI, 'backup', to], folder)
  expect(taken).toMatchObject({
    exitCode: 0,
    stderr: 'A generation of a view has changed meanwhile; the copy begins anew.\n',
  })
  const control = new DatabaseSync(join(to, 'control.db'), { readOnly: true })
  const swaps = control.prepare('SELECT name, swaps FROM projections WHERE swaps > 0').all()
  control.close()
  expect(swaps).toEqual([{ name: 'inventory-alert', swaps: 2 }])
})

test('a damaged view is left out of the backup, which says so; the rest is whole, and the view is built anew', async () => {
  const folder = tempFolder()
  const data = join(folder, 'data')
  const head = await seedInventory({ data, events: 5_000, items: 20 })
  const first = await startUp(folder, { CQRS_DATA: data })
  await until(
    'the views are at the head',
    async () => (await fetch(`${first.http}/inventory?after=${head}`)).ok && restored(data).effects === 0,
    60_000,
  )
  first.process.kill('SIGTERM')
  await first.exited
  damageView(viewPath(data, 'inventory-list'), 'document page')
  await startUp(folder, { CQRS_DATA: data })

  const taken = await runProgram(['backup', 'backup'], folder)
  expect(taken.exitCode).toBe(6)
  expect(taken.stderr).toMatch(
    /^Left out: views\/inventory-list\.1\.db\. The store .* is damaged \(.*malformed.*\)\..*take another backup\.\n$/,
  )
  const copied = readdirSync(join(folder, 'backup'), { recursive: true })
  expect(copied).toEqual(expect.arrayContaining(['control.db', 'queue.db', 'events.db']))
  expect(copied.filter((file) => String(file).startsWith('views/')).sort()).toEqual([
    'views/inventory-alert.1.db',
    'views/inventory-stats.1.db',
  ])
  await expectWhole(join(folder, 'backup'))
})

test('a backup that cannot be taken for another reason ends with an error, and leaves no folder', async () => {
  const folder = tempFolder()
  const data = join(folder, 'data')
  await seedInventory({ data, events: 100, items: 5 })
  const { process, exited } = await startUp(folder, { CQRS_DATA: data })
  process.kill('SIGTERM')
  await exited
  damageView(join(data, 'queue.db'), 'header page')
  const taken = await runProgram(['backup', 'backup'], folder)
  expect(taken).toMatchObject({ exitCode: 6, stderr: expect.stringContaining('file is not a database') })
  expect(readdirSync(folder)).toEqual(['data'])
})

test('a log with an event that is not what was written is not backed up: an older backup is worth more', async () => {
  const folder = tempFolder()
  const data = join(folder, 'data')
  await seedInventory({ data, events: 100, items: 5 })
  const log = new DatabaseSync(join(data, 'events.db'))
  log.exec(`UPDATE events SET data = data || ' ' WHERE position = 57`)
  log.close()
  expect(await runProgram(['backup', 'backup'], folder)).toMatchObject({
    exitCode: 6,
    stderr: expect.stringMatching(/^CQRS_STORE_CORRUPT: The event at position 57 .*no backup was taken/),
  })
  expect(readdirSync(folder)).toEqual(['data'])
})

test('a backup is for its owner only, and says what is in it', async () => {
  const folder = tempFolder()
  const head = await seedInventory({ data: join(folder, 'data'), events: 100, items: 5 })
  const { exitCode, stdout } = await runProgram(['backup', 'backup', '--json'], folder)
  expect(exitCode).toBe(0)
  const report = JSON.parse(stdout)
  expect(report).toEqual({
    folder: join(folder, 'backup'),
    stores: expect.arrayContaining([{ store: 'events.db', bytes: expect.any(Number) }]),
    leftOut: [],
    head,
    isChecked: true,
  })
  const looked = await runProgram(['doctor', '--stores', '--json'], folder, { CQRS_DATA: 'backup' })
  expect(looked.exitCode).toBe(0)
  const stores = (JSON.parse(looked.stdout) as { name: string; status: string }[]).filter(({ name }) =>
    name.endsWith('.db'),
  )
  expect(stores).toContainEqual(expect.objectContaining({ name: 'events.db' }))
  expect(stores.filter(({ status }) => status !== 'ok')).toEqual([])
  expect(await runProgram(['doctor', '--stores'], folder, { CQRS_DATA: 'no-backup' })).toMatchObject({
    exitCode: 1,
    stdout: expect.stringMatching(/^FAIL +stores .*no-backup has none$/m),
  })
  const modes = ['backup', 'backup/views', 'backup/events.db'].map(
    (path) => statSync(join(folder, path)).mode,
  )
  expect(modes.map((mode) => mode & 0o777)).toEqual([0o700, 0o700, 0o600])
})

test('a folder that cannot be what is wanted is refused, and nothing is written', async () => {
  const folder = tempFolder()
  const data = join(folder, 'data')
  await seedInventory({ data, events: 1, items: 1 })
  const refusal = async (...args: string[]) => {
    const { exitCode, stderr } = await runProgram(['backup', ...args], folder)
    expect(exitCode).not.toBe(0)
    return stderr
  }
  expect(await refusal()).toContain("missing required argument 'folder'")
  expect(await refusal('')).toContain('folder')
  expect(await refusal('data/backup')).toContain('is in the data folder')
  symlinkSync(data, join(folder, 'link'))
  expect(await refusal('link/backup')).toContain('is in the data folder')
  expect(await refusal('data')).toContain('exists already')
  expect(await refusal('no/such/backup')).toContain('cannot be made')
  mkdirSync(join(folder, 'half.part'))
  expect(await refusal('half')).toContain('another backup writes it, or one was interrupted')
  expect(readdirSync(folder).sort()).toEqual(['data', 'half.part', 'link'])
  expect(existsSync(join(data, 'backup'))).toBe(false)
  expect(await runProgram(['backup', 'b'], folder, { CQRS_DATA: 'nowhere' })).toMatchObject({
    stderr: expect.stringContaining('There is no store in'),
  })
})

test('a queue that is used alone is backed up, too, and goes on from the copy in another folder', async () => {
  const folder = tempFolder()
  const env = { CQRS_APP: 'none', CQRS_DATA: join(folder, 'data') }
  const first = await startUp(folder, env)
  const message = { function_id: 'nobody::has', payload: { n: 1 } }
  await connect(first.engine).trigger({ ...message, action: TriggerAction.Enqueue({ queue: 'default' }) })
  const copy = join(folder, 'copy')
  const backup = await runProgram(['backup', copy], folder, env)
  expect(backup).toMatchObject({ exitCode: 0, stderr: '' })
  first.process.kill('SIGTERM')
  await first.exited

  const second = await startUp(folder, { ...env, CQRS_DATA: copy })
  const taken: unknown[] = []
  connect(second.engine).registerFunction('nobody::has', async ({ n }) => taken.push(n))
  await until('it is delivered', () => taken.length > 0)
  expect(taken).toEqual([1])
})
