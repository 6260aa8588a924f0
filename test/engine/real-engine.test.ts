import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { LOW_STOCK_TOPIC } from '../../src/inventory/alert.ts'
import type { ProjectionsList } from '../../src/operator/generations-contract.ts'
import { CqrsProcess } from '../support/cqrs-process.ts'
import { hammerInventory } from '../support/hammer.ts'
import { settledMore, startLoad } from '../support/load.ts'
import { runProgram } from '../support/program.ts'
import { testSeed } from '../support/random.ts'
import { type Frame, RawWorker } from '../support/raw-worker.ts'
import { NO_REAL_ENGINE, REAL_ENGINE, startRealEngine } from '../support/real-engine.ts'
import { TAKE_RECEIPT } from '../support/receipts-app.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { killPart, newSite, type Site, startPart, startParts } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { expectTruth } from '../support/truth.ts'
import { eventually, until } from '../support/until.ts'

vi.setConfig({ testTimeout: 180_000 })

// What differs from the embedded engine, or is about the engine's own death. What does not is tested by whoever uses
// `onEachEngine` or ENGINE_KINDS.
if (REAL_ENGINE === undefined)
  describe.skip('the real engine', () => test(`skipped: ${NO_REAL_ENGINE}`, () => {}))
else describe('the real engine', onTheRealEngine)

function onTheRealEngine(): void {
  const seed = testSeed()

  test(`a rebuild, commands, and audits go on through the death of the projections worker and of the engine (CQRS_TEST_SEED=${seed})`, async () => {
    const site = await newSiteOnReal()
    await seedInventory({ data: site.data, events: 20_000, items: 50 })
    const engine = await startRealEngine(site)
    const up = new CqrsProcess(['up'], { ...site.env, III_URL: site.engine })
    await up.ready
    const standby = await startPart(site, 'projections')
    const cli = (...args: string[]) => runProgram(args, tempFolder(), { ...site.env, III_URL: site.engine })
    const load = await startLoad({ http: site.http, seed, clients: 3 })
    await settledMore(load, 30)

    expect(await cli('rebuild', 'inventory-list', '--detach')).toMatchObject({ exitCode: 0 })
    await killPart(up, 'projections')
    await settledMore(load, 30)
    await engine.end('SIGKILL')
    const away = await cli('status')
    expect(away).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('CQRS_ENGINE_UNREACHABLE') })
    await startRealEngine(site)
    await settledMore(load, 30)
    await until(
      'the new generation serves',
      async () => {
        const { stdout } = await cli('projections', 'list', '--json')
        const [list] = (JSON.parse(stdout) as ProjectionsList).projections
        return list?.generations.some(({ generation, state }) => generation === 2 && state === 'active')
      },
      60_000,
    )
    await standby.end('SIGKILL')
    const hammers = hammerInventory(site.http)
    expect((await cli('rebuild', 'inventory-stats')).stdout).toContain('generation 2 serves now')
    await load.finish()
    await hammers.stop()
    expect(hammers.wrong).toEqual([])
    await expectTruth(site, load.settled, undefined, false)
    expect(await cli('audit')).toMatchObject({ exitCode: 0 })
    expect(await cli('verify')).toMatchObject({ exitCode: 0 })
    expect((await cli('doctor')).stdout).toMatch(/^ok +data folder .*for your user only$/m)
    await up.end('SIGTERM')
  })

  test('with telemetry on it keeps one trace from the request over the projections to the effect', async () => {
    const site = await newSiteOnReal({ CQRS_TELEMETRY: 'true' })
    await startParts(site)
    const alerts = await subscriber(await RawWorker.connect(site.engine))
    const traceId = await sellOut(site)
    const asker = await RawWorker.connect(site.engine)
    const spans = async (): Promise<readonly Span[]> => {
      const filter = { trace_id: traceId, search_all_spans: true, include_internal: true }
      const { result } = await asker.call('engine::traces::list', filter)
      return (result as { spans: readonly Span[] }).spans
    }
    const wanted = [
      ['iii', 'POST /inventory/:sku/sell'],
      ['cqrs-commands', 'execute cmd::sell-item'],
      ['cqrs-queue', 'execute engine::queue::enqueue'],
      ['cqrs-projections', 'execute proj::inventory-list'],
      ...['list', 'stats', 'alert'].map((name) => ['cqrs-projections', `apply inventory-${name}`]),
      ['cqrs-projections', `publish ${LOW_STOCK_TOPIC}`],
    ]
    const has =
      (found: readonly Span[]) =>
      ([service, name]: string[]) =>
        found.some((span) => span.service_name === service && span.name === name)
    await until('the whole trace', async () => wanted.every(has(await spans())), 30_000)
    const found = await spans()
    const command = found.find(({ name }) => name === 'execute cmd::sell-item')
    expect(found.find(({ span_id }) => span_id === command?.parent_span_id)?.name).toBe(
      'POST /inventory/:sku/sell',
    )
    expect(found.find(({ name }) => name === 'apply inventory-list')?.parent_span_id).toBe(command?.span_id)
    await eventually(() => alerts().length > 0)
    expect(String(alerts()[0]?.traceparent)).not.toContain(traceId)
  })

  test('with telemetry off whoever an effect calls gets the trace of its request, and subscribers of a topic do not', async () => {
    const app = join(import.meta.dirname, '..', 'support', 'receipts-app.ts')
    const site = await newSiteOnReal({ CQRS_APP: app })
    await startParts(site)
    const taker = await RawWorker.connect(site.engine)
    await taker.offer(TAKE_RECEIPT, () => null)
    const receipts = () => taker.frames.filter(({ function_id }) => function_id === TAKE_RECEIPT)
    const alerts = await subscriber(taker)
    const traceId = await sellOut(site)
    await eventually(() => receipts().length > 0 && alerts().length > 0)
    expect(receipts()[0]?.traceparent).toContain(traceId)
    expect(String(alerts()[0]?.traceparent)).not.toContain(traceId)
  })

  test('a body that is no JSON changes nothing, though the engine takes it for none', async () => {
    const site = await newSiteOnReal()
    await startParts(site, { without: ['queries', 'queue'] })
    await startPart(site, 'operator')
    const token = readFileSync(join(site.data, 'ops.token'), 'utf8').trim()
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
    await post(site, '/inventory', { sku: 'mug', name: 'Mug', priceCents: 100, quantity: 9 })
    const bodies = ['{"until":1', `{"a":${'['.repeat(127)}${']'.repeat(127)}}`, '{"a":"\\ud800"}']
    for (const path of ['/inventory/mug/discontinue', '/ops/projections/inventory-list/rebuild']) {
      for (const body of bodies) {
        const response = await fetch(site.http + path, { method: 'POST', headers, body })
        expect([path, body, response.status]).toEqual([path, body, 400])
        expect(await response.json()).toMatchObject({
          error: { code: 'CQRS_VALIDATION', message: '(input): must be a JSON object' },
        })
      }
    }
  })

  test('a number with 16 digits may be changed before a command sees it, and is not changed by an export', async () => {
    const site = await newSiteOnReal()
    await startParts(site)
    await startPart(site, 'operator')
    await post(site, '/inventory', { sku: 'mug', name: 'Mug', priceCents: 100, quantity: 9 })
    const cli = (...args: string[]) => runProgram(args, tempFolder(), { ...site.env, III_URL: site.engine })
    const { stdout } = await cli('events', 'export', '-')
    const token = readFileSync(join(site.data, 'ops-read.token'), 'utf8').trim()
    const headers = { authorization: `Bearer ${token}` }
    const overHttp = await fetch(`${site.http}/ops/events/export`, { headers })
    expect(await overHttp.text()).toBe(stdout)
    const asker = await RawWorker.connect(site.engine)
    await asker.offer('test::echo', (data) => data)
    const some = Array.from({ length: 1_000 }, (_, n) => 900 + n / 7)
    const { result } = await asker.call('test::echo', { some: [...some, 19.99, 0.1, 12345678901234.5] })
    const { some: echoed } = result as { some: number[] }
    expect(echoed.slice(-3)).toEqual([19.99, 0.1, 12345678901234.5])
    expect(echoed.filter((number, index) => index < 1_000 && number !== some[index])).not.toEqual([])
    for (const [index, number] of some.entries()) expect(echoed[index]).toBeCloseTo(number, 9)
  })
}

interface Span {
  readonly name: string
  readonly service_name: string
  readonly span_id: string
  readonly parent_span_id: string | null
}

const newSiteOnReal = (settings: Site['env'] = {}): Promise<Site> => newSite(settings, tempFolder(), 'real')

async function post(
  site: Site,
  path: string,
  body: object,
  headers: Record<string, string> = {},
): Promise<void> {
  const response = await fetch(site.http + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  expect(response.status).toBeLessThan(300)
}

/** Lets a worker take alerts. @returns the frames of the calls */
async function subscriber(worker: RawWorker): Promise<() => readonly Frame[]> {
  await worker.offer('test::alert', () => null)
  const trigger = { id: 't', trigger_type: 'subscribe', function_id: 'test::alert' }
  worker.send({ type: 'registertrigger', ...trigger, config: { topic: LOW_STOCK_TOPIC } })
  return () => worker.frames.filter(({ function_id }) => function_id === 'test::alert')
}

/** Sells so much of an item that an alert goes out. @returns the id of the trace of the sale */
async function sellOut(site: Site): Promise<string> {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')]
  await post(site, '/inventory', {
    sku: 'mug',
    name: 'Mug',
    priceCents: 100,
    quantity: 10,
    lowStockThreshold: 5,
  })
  await post(site, '/inventory/mug/sell', { quantity: 6 }, { traceparent: `00-${traceId}-${spanId}-01` })
  return traceId
}
