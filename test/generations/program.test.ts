import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { WorkersAnswer } from '../../src/operator/contract.ts'
import type { ProjectionsList } from '../../src/operator/generations-contract.ts'
import { activeViewPath } from '../support/active-view-path.ts'
import { request } from '../support/inventory-client.ts'
import { runProgram, startProgram, startUp } from '../support/program.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 150_000 })

const VERSIONED = fileURLToPath(new URL('../support/versioned-inventory.ts', import.meta.url))

/** Real processes take their time on a busy machine. */
const PATIENCE_MS = 60_000

/** A system with some events, and the program to look after it. */
async function site({ events = 2_000, env = {} }: { events?: number; env?: Record<string, string> } = {}) {
  const folder = tempFolder()
  const data = join(folder, 'data')
  const head = await seedInventory({ data, events, items: 10 })
  const up = async (settings: Record<string, string> = {}) => {
    const system = await startUp(folder, { CQRS_DATA: data, ...env, ...settings })
    const atHead = async () => (await request(`${system.http}/inventory?after=${head}`)).status === 200
    return { ...system, atHead: () => until('the list is at the head', atHead, PATIENCE_MS) }
  }
  return { folder, data, head, up }
}

function programOf(folder: string, engine: string) {
  const cqrs = (...args: string[]) => runProgram(args, folder, { III_URL: engine })
  const show = async (): Promise<ProjectionsList['projections'][number]> => {
    const { stdout } = await cqrs('projections', 'show', 'inventory-list', '--json')
    return (JSON.parse(stdout) as ProjectionsList).projections[0] as ProjectionsList['projections'][number]
  }
  const states = async () =>
    Object.fromEntries((await show()).generations.map(({ generation, state }) => [generation, state]))
  const becomes = (generation: number, state: string | undefined) =>
    until(
      `generation ${generation} is ${state}`,
      async () => (await states())[generation] === state,
      PATIENCE_MS,
    )
  return { cqrs, show, states, becomes }
}

test('an operator rebuilds, looks back, verifies, goes back and tidies up', async () => {
  const { folder, data, up } = await site()
  const { http, engine, atHead } = await up()
  const { cqrs, show, states, becomes } = programOf(folder, engine)
  await atHead()

  const rebuilt = await cqrs('rebuild', 'inventory-list')
  expect(rebuilt).toMatchObject({ exitCode: 0, stderr: '' })
  expect(rebuilt.stdout).toMatch(/generation 2 serves now\./)
  expect(rebuilt.stdout).not.toMatch(/ 0 of 0/)
  expect(await states()).toEqual({ 1: 'previous', 2: 'active' })
  expect((await show()).generations.every(({ bytes }) => bytes > 4_096)).toBe(true)

  const json = await cqrs('rebuild', 'inventory-list', '--until', '1000', '--json')
  const last = json.stdout.trim().split('\n').at(-1) as string
  expect(JSON.parse(last)).toMatchObject({ generation: 3, state: 'side', position: 1_000 })
  const then = await cqrs('view', 'get', 'inventory-list', 'seeded-9', '--generation', '3')
  expect(then).toMatchObject({ exitCode: 0, stderr: 'generation 3 at position 1000\n' })
  expect((await cqrs('view', 'get', 'inventory-list', 'seeded-9')).stderr).toBe(
    'generation 2 at position 2000\n',
  )
  expect(await cqrs('rebuild', 'inventory-list', '--until', '9999')).toMatchObject({ exitCode: 1 })

  expect((await cqrs('verify', 'inventory-list')).stdout).toMatch(
    /verified at position 2,000: 10 documents, all as/,
  )
  const vandal = new DatabaseSync(join(data, 'views', 'inventory-list.2.db'), { timeout: 5_000 })
  vandal.exec(
    `UPDATE documents SET document = replace(document, '"seeded-3"', '"seeded-X"') WHERE key = 'seeded-3'`,
  )
  vandal.close()
  const verified = await cqrs('verify', 'inventory-list')
  expect(verified.exitCode).toBe(1)
  expect(verified.stdout).toMatch(/NOT as the log says\.\n.*1 changed.*\n.*changed seeded-3/s)
  expect(verified.stdout).toMatch(/lists the comparison as "verified" until the next one, or "cqrs prune"/)
  expect((await cqrs('projections', 'show', 'inventory-list')).stdout).toMatch(
    /folded again from the log, .*: differs\n {2}0 documents added, 1 changed, 0 removed \(served -> folded from the log\)\n {2}changed seeded-3: sku "seeded-X" -> "seeded-3", name .* \(the stored document is damaged\)\n/,
  )
  expect((await cqrs('rebuild', 'inventory-list', '--require-parity')).stdout).toMatch(/was not swapped in/)

  const back = await cqrs('rollback', 'inventory-list')
  expect(back).toMatchObject({ exitCode: 0, stderr: '' })
  expect(back.stdout).toMatch(/generation 1 serves now\.\n$/)
  expect((await states())[1]).toBe('active')
  expect((await request(`${http}/inventory/seeded-3`)).status).toBe(200)
  expect((await cqrs('prune')).stdout).toMatch(/Removing inventory-list generation 2/)
  await becomes(2, undefined)
  expect((await cqrs('rollback', 'inventory-list')).stderr).toMatch(/has no previous generation/)

  expect((await cqrs('projections', 'pause', 'inventory-list')).exitCode).toBe(0)
  expect((await cqrs('status')).stdout).toMatch(
    /inventory-list +paused[\s\S]*projections resume inventory-list/,
  )
  expect((await cqrs('projections', 'resume', 'inventory-list')).exitCode).toBe(0)
  expect((await cqrs('rebuild', 'inventory-lust')).stderr).toMatch(/no projection inventory-lust/)
})

test('a rebuild takes the place of a view that a damaged document holds up, and nothing has to be stopped for it', async () => {
  const { folder, data, up } = await site()
  const first = await up()
  await first.atHead()
  first.process.kill('SIGTERM')
  await first.exited
  const vandal = new DatabaseSync(activeViewPath(data, 'inventory-list'))
  vandal.exec(
    `UPDATE documents SET document = replace(document, 'seeded-3', 'seeded-X') WHERE key = 'seeded-3'`,
  )
  vandal.close()

  const { http, engine } = await up()
  const { cqrs } = programOf(folder, engine)
  const item = (after = 0) => request(`${http}/inventory/seeded-3?after=${after}`)
  expect(await item()).toMatchObject({ status: 500, body: { error: { code: 'CQRS_STORE_CORRUPT' } } })
  const restocked = await request(`${http}/inventory/seeded-3/restock`, {
    command: { body: { quantity: 1 }, idempotencyKey: 'restock' },
  })
  expect(restocked.status).toBe(200)
  const { position } = restocked.body as { position: number }

  const rebuilt = await cqrs('rebuild', 'inventory-list')
  expect(rebuilt).toMatchObject({ exitCode: 0 })
  expect(rebuilt.stdout).toMatch(/generation 2 serves now\./)
  expect(await item(position)).toMatchObject({ status: 200 })
  expect((await cqrs('verify', 'inventory-list')).stdout).toMatch(/10 documents, all as the log says/)
})

test('nobody has to wait for a rebuild: --detach does not, and Ctrl-C leaves it running and says so', async () => {
  const { folder, up } = await site({ env: { CQRS_HANG_MS: '150000' } })
  const { engine, atHead } = await up()
  const { cqrs, becomes, states } = programOf(folder, engine)
  await atHead()
  // While its worker stands still a rebuild does not end, however long somebody looks.
  const goOn = await freezeProjections(cqrs)
  expect(await cqrs('rebuild', 'inventory-list', '--detach')).toEqual({
    exitCode: 0,
    stdout: 'inventory-list: generation 2 is being built\n',
    stderr: '',
  })
  const interrupted = async (command: string, projection: string) => {
    const watching = startProgram([command, projection], folder, { III_URL: engine })
    await until('it says something', () => watching.output.stdout.includes('generation 2'), PATIENCE_MS)
    watching.process.kill('SIGINT')
    return { exitCode: await watching.exited, stderr: watching.output.stderr }
  }
  // Not 0: a script would go on as if the rebuild were done, or the view verified.
  expect(await interrupted('rebuild', 'inventory-list')).toEqual({
    exitCode: 130,
    stderr:
      'A rebuild of inventory-list is already under way; this request joins it.\n' +
      'The rebuild goes on; to see it: cqrs projections show inventory-list\n',
  })
  expect(await interrupted('verify', 'inventory-stats')).toEqual({
    exitCode: 130,
    stderr: 'The verify goes on; to see it: cqrs projections show inventory-stats\n',
  })
  expect(await states()).toEqual({ 1: 'active', 2: 'building' })
  goOn()
  await becomes(2, 'active')
})

/** Stops the process that builds views. @returns what lets it go on, at the end of the test at the latest */
async function freezeProjections(cqrs: ReturnType<typeof programOf>['cqrs']): Promise<() => void> {
  const { workers } = JSON.parse((await cqrs('workers', '--json')).stdout) as WorkersAnswer
  const worker = workers.find(({ roles }) => roles.some(({ role }) => role === 'projections'))
  if (!worker) throw new Error('There is no worker of projections.')
  process.kill(worker.pid, 'SIGSTOP')
  let goOn = () => {
    goOn = () => undefined
    process.kill(worker.pid, 'SIGCONT')
  }
  onTestFinished(() => goOn())
  return () => goOn()
}

test('a system that is started with a later version rebuilds by itself; an earlier one is refused', async () => {
  const { folder, data, head, up } = await site({ env: { CQRS_APP: VERSIONED } })
  const first = await up()
  await first.atHead()
  first.process.kill('SIGTERM')
  await first.exited

  const second = await up({ TEST_LIST_VERSION: '2', TEST_LIST_PARTITIONS: '3' })
  const { cqrs, show, becomes } = programOf(folder, second.engine)
  await becomes(2, 'active')
  expect(await show()).toMatchObject({ version: 2, partitions: 3, frozen: false, active: 2 })
  expect((await request(`${second.http}/inventory/seeded-3?after=${head}`)).status).toBe(200)
  expect((await cqrs('verify', 'inventory-list')).stdout).toMatch(/10 documents, all as the log says/)
  second.process.kill('SIGTERM')
  await second.exited

  const refused = startProgram(['up'], folder, {
    III_PORT: '0',
    III_HTTP_PORT: '0',
    CQRS_DATA: data,
    CQRS_APP: VERSIONED,
  })
  const said = () => refused.output.stdout + refused.output.stderr
  await until(
    'it says what to do',
    () => said().includes('cqrs rollback inventory-list --force'),
    PATIENCE_MS,
  )
  expect(await refused.exited).toBe(2)
})
