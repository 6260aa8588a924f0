import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test, vi } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import type { ProjectionsList } from '../../src/operator/generations-contract.ts'
import { damageView } from '../support/damage-view.ts'
import { runNode, runProgram, startUp } from '../support/program.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 150_000 })

/** The script of the runbook, as it stands there. */
function script(folder: string): string {
  const text = readFileSync(new URL('../../docs/operate.md', import.meta.url), 'utf8')
  const path = join(folder, 'backup.mjs')
  writeFileSync(path, /This is `backup\.mjs`:\n\n```js\n(.*?)```/s.exec(text)?.[1] ?? '')
  return path
}

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

test('the backup of the runbook, taken after a rebuild and while generations come and go, is whole', async () => {
  const folder = tempFolder()
  const data = join(folder, 'data')
  const head = await seedInventory({ data, events: 5_000, items: 20 })
  const { engine, http } = await startUp(folder, { CQRS_DATA: data })
  const cqrs: Program = (...args) => runProgram(args, folder, { III_URL: engine })
  await until(
    'the list is at the head',
    async () => (await fetch(`${http}/inventory?after=${head}`)).ok,
    60_000,
  )
  const backup = script(folder)
  const take = (name: string) => runNode([backup, data, join(folder, name)], folder)

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
  expect(during).toMatchObject({ exitCode: 0, stderr: '' })
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
    const { exec } = DatabaseSync.prototype
    let isFirst = true
    DatabaseSync.prototype.exec = function (sql) {
      if (isFirst && sql.includes('events.db')) {
        isFirst = false
        const control = new DatabaseSync(${JSON.stringify(join(data, 'control.db'))})
        exec.call(control, "UPDATE projections SET swaps = swaps + 2 WHERE name = 'inventory-alert'")
        control.close()
      }
      return exec.call(this, sql)
    }`,
  )
  const to = join(folder, 'backup')
  const taken = await runNode(['--import', meanwhile, script(folder), data, to], folder)
  expect(taken).toMatchObject({ exitCode: 0, stderr: '' })
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

  const taken = await runNode([script(folder), data, join(folder, 'backup')], folder)
  expect(taken).toMatchObject({ exitCode: 2, stdout: '' })
  expect(taken.stderr).toMatch(
    /^Damaged, and left out: views\/inventory-list\.1\.db \(.*malformed.*\)\..*\n$/,
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
  const taken = await runNode([script(folder), data, join(folder, 'backup')], folder)
  expect(taken).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('file is not a database') })
  expect(existsSync(join(folder, 'backup'))).toBe(false)
})

test('a backup that is told no folder to go to is refused', async () => {
  const folder = tempFolder()
  const data = join(folder, 'data')
  await seedInventory({ data, events: 1, items: 1 })
  const path = script(folder)
  const before = readdirSync(folder)
  const taken = await runNode([path, data], folder)
  expect(taken).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('name two folders') })
  expect(readdirSync(folder)).toEqual(before)
})
