import { expect, test } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import type { SystemStatus } from '../../src/operator/contract.ts'
import { damageView, type ViewDamageKind } from '../support/damage-view.ts'
import { request } from '../support/inventory-client.ts'
import { runProgram } from '../support/program.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { newSite, startSystem } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

/*
 * A real system that finds the file of a view damaged when it starts. test/generations/damaged-active.test.ts has more kinds of
 * damage, in every generation, step by step.
 */

/** Real processes take their time on a busy machine. */
const PATIENCE_MS = 60_000

/** A system at the head of its log, the file of whose list was damaged while it was stopped, at work again. */
async function systemWithDamaged(kind: ViewDamageKind) {
  const site = await newSite()
  const head = await seedInventory({ data: site.data, events: 5_000, items: 50 })
  const first = await startSystem(site)
  const get = (path: string) => request(`${site.http}${path}`)
  const atHead = async (view: string, position: number) =>
    (await get(`/inventory${view}?after=${position}`)).status === 200
  await until('the list is at the head', () => atHead('', head), PATIENCE_MS)
  await until('the counters are, too', () => atHead('/stats', head), PATIENCE_MS)
  await first.end('SIGTERM')
  damageView(viewPath(site.data, 'inventory-list'), kind)
  const up = await startSystem(site)
  return {
    up,
    get,
    atHead,
    cqrs: (...args: string[]) => runProgram(args, tempFolder(), { ...site.env, III_URL: site.engine }),
    /** @returns the position of the event */
    async restock(sku: string): Promise<number> {
      const { status, body } = await request(`${site.http}/inventory/${sku}/restock`, {
        command: { body: { quantity: 1 }, idempotencyKey: `restock-${sku}` },
      })
      expect(status).toBe(200)
      return (body as { position: number }).position
    },
  }
}

test('a view that cannot be opened stops nobody else, and a rebuild puts a whole one in its place', async () => {
  const { up, get, atHead, restock, cqrs } = await systemWithDamaged('header page')
  const position = await restock('seeded-7')
  await until('the counters go on', () => atHead('/stats', position), PATIENCE_MS)
  expect(await get('/inventory/seeded-7')).toMatchObject({
    status: 500,
    body: {
      error: {
        code: 'CQRS_STORE_CORRUPT',
        message: expect.stringContaining('"cqrs rebuild inventory-list" rebuilds it'),
      },
    },
  })

  // Whoever looks is told which one it is, and of all others how they stand.
  const [json, table, doctor] = await Promise.all([cqrs('status', '--json'), cqrs('status'), cqrs('doctor')])
  const { projections } = JSON.parse(json.stdout) as SystemStatus
  expect(projections).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        name: 'inventory-list',
        owned: true,
        damaged: expect.stringContaining('inventory-list.1.db'),
        position: null,
        lag: null,
      }),
      expect.objectContaining({ name: 'inventory-stats', damaged: null, position, lag: 0 }),
      expect.objectContaining({ name: 'inventory-alert', damaged: null }),
    ]),
  )
  expect(table.stdout).toMatch(/inventory-list +damaged +- +- +- /)
  expect(doctor.exitCode).toBe(1)
  expect(doctor.stdout).toMatch(
    /FAIL +views\/inventory-list\.1\.db .*\n +A view can be made again.*"cqrs rebuild inventory-list"/,
  )
  // Its damage does not stand in the way of the proof for the others.
  const audit = await cqrs('audit')
  expect(audit).toMatchObject({
    exitCode: 6,
    stderr: expect.stringMatching(/^inventory-list: NOT audited\. CQRS_STORE_CORRUPT: .*"cqrs rebuild/),
  })
  expect(audit.stdout.match(/^inventory-(stats|alert): certified/gm)).toHaveLength(2)
  expect((await get('/health/ready')).body).toMatchObject({
    status: 'not ready',
    parts: expect.arrayContaining([
      { part: 'projection inventory-list', state: 'down', reason: expect.stringContaining('damaged') },
      { part: 'projection inventory-stats', state: 'ok' },
    ]),
  })

  const rebuilt = await cqrs('rebuild', 'inventory-list')
  expect(rebuilt).toMatchObject({ exitCode: 0, stderr: '' })
  expect(rebuilt.stdout).toMatch(
    /generation 2 serves now\.\n +The generation that served before is damaged: .*inventory-list\.1\.db: .*\n.*"cqrs prune"/,
  )
  const last = await restock('seeded-8')
  await until('the list is at the head', () => atHead('', last), PATIENCE_MS)
  const [status, verified] = await Promise.all([cqrs('status'), cqrs('verify', 'inventory-list')])
  expect(status.stdout).toMatch(/inventory-list +live/)
  expect(verified.stdout).toMatch(/50 documents, all as the log says/)
  expect(up.output.match(/projections are live in this process/g), 'their worker never ended').toHaveLength(1)
}, 150_000)

test('a view with a garbage page goes on as far as it can, and a rebuild says what it found', async () => {
  const { get, atHead, restock, cqrs } = await systemWithDamaged('document page')
  // The last page in the file: some of these documents lie there.
  const positions = await Promise.all(Array.from({ length: 50 }, (_, item) => restock(`seeded-${item}`)))
  const head = Math.max(...positions)
  await until('the counters go on', () => atHead('/stats', head), PATIENCE_MS)
  await until(
    'the status says that the list is damaged',
    async () => /inventory-list +damaged/.test((await cqrs('status')).stdout),
    PATIENCE_MS,
  )

  const refused = await cqrs('rebuild', 'inventory-list', '--require-parity')
  expect(refused.exitCode).toBe(1)
  expect(refused.stdout).toMatch(
    /generation 2 was not swapped in\. The active generation is damaged in .*without --require-parity/,
  )
  const verified = await cqrs('verify', 'inventory-list')
  expect(verified.exitCode).toBe(1)
  expect(verified.stdout).toMatch(
    /NOT as the log says\.\n +The generation that serves is damaged: .*\n +"cqrs rebuild inventory-list"/,
  )
  const json = await cqrs('rebuild', 'inventory-list', '--json')
  expect(JSON.parse(json.stdout.trim().split('\n').at(-1) as string)).toMatchObject({
    state: 'active',
    report: { kind: 'damaged', side: 'before', file: expect.stringContaining('inventory-list.1.db') },
  })
  expect(await atHead('', head)).toBe(true)
  expect((await get('/inventory?limit=200')).status).toBe(200)
  const letters = await cqrs('dlq', 'list', '--json')
  expect(JSON.parse(letters.stdout)).toMatchObject({ letters: [] })
}, 150_000)
