import { TriggerAction } from 'iii-sdk'
import { expect, onTestFinished, test } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import { inventoryAlert } from '../../src/inventory/alert.ts'
import { inventoryList } from '../../src/inventory/list.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { CqrsProcess } from '../support/cqrs-process.ts'
import { request, settle } from '../support/inventory-client.ts'
import { headOf, settledMore, startLoad } from '../support/load.ts'
import { between, seededRandom, testSeed } from '../support/random.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { newSite, startPart, startParts } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const seed = testSeed()
const TEST_MS = 180_000

test('a projections worker that was away catches up when it comes back', { timeout: TEST_MS }, async () => {
  const site = await newSite()
  const { projections } = await startParts(site)
  const load = await startLoad({ http: site.http, seed })
  await settledMore(load, 50)
  await projections.end('SIGKILL')
  await settledMore(load, 200)
  await load.finish()

  const behind = await request(`${site.http}/inventory/stats`)
  const head = headOf(load)
  expect(Number(behind.headers.get('x-projection-position'))).toBeLessThan(head)
  await startPart(site, 'projections')
  await expectTruth(site, load.settled)
})

test('without a queue worker commands are accepted and views reach the head', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite({ CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '200' })
  await startParts(site, { without: ['queue'] })
  const load = await startLoad({ http: site.http, seed })
  await settledMore(load, 200)
  await load.finish()
  await expectTruth(site, load.settled)
})

test('a projections worker that starts while the engine is away brings the views to the head', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite({ CQRS_SUPERVISOR_READY_TIMEOUT_MS: '6000' })
  const { engine, projections } = await startParts(site)
  await projections.end('SIGKILL')
  const load = await startLoad({ http: site.http, seed })
  await settledMore(load, 100)
  await load.finish()
  await engine.end('SIGKILL')

  const worker = new CqrsProcess(['worker', 'projections'], { ...site.env, III_URL: site.engine })
  const head = headOf(load)
  const view = openSqliteViewReader(viewPath(site.data, inventoryList.name), inventoryList)
  onTestFinished(() => view.close())
  await until('the view is at the head', async () => (await view.position()) >= head, 30_000)
  // In time for a supervisor, which would kill it otherwise.
  await worker.ready
  await startPart(site, 'engine')
  await expectTruth(site, load.settled)
})

test('after the engine was killed, all go on and what was in flight is delivered again', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite()
  const { engine } = await startParts(site)
  const load = await startLoad({ http: site.http, seed })

  const outside = await sdkWorker(site.engine)
  let deliveries = 0
  outside.registerFunction('outside::hangs-once', async () => {
    deliveries += 1
    if (deliveries === 1) await new Promise(() => {})
  })
  await outside.trigger({
    function_id: 'queue::define',
    payload: { queue: 'hanging', config: { concurrency: 1 } },
  })
  const action = TriggerAction.Enqueue({ queue: 'hanging' })
  await outside.trigger({ function_id: 'outside::hangs-once', payload: {}, action })
  await until('the message is in flight', () => deliveries === 1)

  await engine.end('SIGKILL')
  await startPart(site, 'engine')
  const restarted = performance.now()
  await settledMore(load, 20)
  expect(performance.now() - restarted, 'milliseconds until commands are answered').toBeLessThan(10_000)
  await until('the message in flight is delivered again', () => deliveries === 2, 10_000)
  await load.finish()
  await expectTruth(site, load.settled)
})

test('a command retried with its key over deaths of the commands worker happens once', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite()
  const { commands } = await startParts(site)
  const load = await startLoad({ http: site.http, seed })
  const random = seededRandom(seed)
  for (let worker = commands, deaths = 0; deaths < 5; deaths += 1) {
    await settledMore(load, between(random, 5, 60))
    await worker.end('SIGKILL')
    worker = await startPart(site, 'commands')
  }
  await load.finish()
  const { events } = await expectTruth(site, load.settled)

  for (const { command, answer } of load.settled) {
    if (answer.status >= 300) continue
    const again = await request(site.http + command.path, { command })
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect({ status: again.status, body: again.body }).toEqual({ status: answer.status, body: answer.body })
  }
  expect((await expectTruth(site, load.settled)).events).toEqual(events)
})

test('a second queue worker stands by and takes over what the first one held', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite()
  const { queue } = await startParts(site, { without: ['commands', 'projections', 'queries'] })
  const standby = await startPart(site, 'queue')
  await until('it says so', () => standby.output.includes('standing by'))

  const outside = await sdkWorker(site.engine)
  const define = { function_id: 'queue::define', payload: { queue: 'letters', config: { type: 'standard' } } }
  await outside.trigger(define)
  const send = (letter: number) =>
    outside.trigger({
      function_id: 'outside::receive',
      payload: { letter },
      action: TriggerAction.Enqueue({ queue: 'letters' }),
    })
  for (const letter of [1, 2, 3]) await send(letter)
  await queue.end('SIGKILL')

  const received = new Set<number>()
  outside.registerFunction(
    'outside::receive',
    async ({ letter }: { letter: number }) => void received.add(letter),
  )
  await until('the standby delivers what the first one held', () => received.size === 3)
  await send(4)
  await until('and what comes afterwards', () => received.has(4))
})

test('an alert that was recorded while the engine was away is sent when it is back', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite({ CQRS_PROJECTIONS_MAX_ATTEMPTS: '1' })
  const { engine, projections } = await startParts(site, { without: ['queue', 'queries'] })
  const mug = { sku: 'mug-1', name: 'Mug', priceCents: 1_250, quantity: 10 }
  await settle(site.http, { path: '/inventory', body: mug, idempotencyKey: 'add' })
  projections.signal('SIGSTOP')
  await settle(site.http, { path: '/inventory/mug-1/sell', body: { quantity: 8 }, idempotencyKey: 'sell' })
  await engine.end('SIGKILL')
  projections.signal('SIGCONT')
  await until(
    'the alert found nobody',
    () => projections.output.includes('An effect cannot be delivered'),
    30_000,
  )

  await startPart(site, 'engine')
  const view = openSqliteViewReader(viewPath(site.data, inventoryAlert.name), inventoryAlert)
  onTestFinished(() => view.close())
  await until('nothing is left to be sent', async () => (await view.standing()).effects.pending === 0, 20_000)
  expect((await view.standing()).effects).toEqual({ pending: 0, dead: 0 })
})
