import { TriggerAction } from 'iii-sdk'
import { expect, test } from 'vitest'
import { request } from '../support/inventory-client.ts'
import { type Load, startLoad } from '../support/load.ts'
import { between, oneOf, seededRandom, testSeed } from '../support/random.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { newSite, startPart, startParts } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const seed = testSeed()
const TEST_MS = 90_000

/** Resolves when `count` further commands are settled. */
async function settledMore(load: Load, count: number): Promise<void> {
  const wanted = load.settled.length + count
  await until(`${count} further commands are settled`, () => load.settled.length >= wanted, 30_000)
}

test('a projections worker that was away catches up when it comes back', { timeout: TEST_MS }, async () => {
  const site = await newSite()
  const { projections } = await startParts(site)
  const load = await startLoad({ http: site.http, seed })
  await settledMore(load, 50)
  await projections.end('SIGKILL')
  await settledMore(load, 200)
  await load.finish()

  const behind = await request(`${site.http}/inventory/stats`)
  const head = Math.max(...load.settled.map(({ answer }) => Number(answer.body.position ?? 0)))
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
  expect(standby.output).toContain('standing by')

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

test('a projections worker that was frozen while another took over applies nothing twice', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite({ CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '100' })
  const { projections: first } = await startParts(site)
  const load = await startLoad({ http: site.http, seed })
  await settledMore(load, 50)
  first.signal('SIGSTOP')
  const second = await startPart(site, 'projections')
  await settledMore(load, 100)
  first.signal('SIGCONT')

  const random = seededRandom(seed)
  for (let freeze = 0; freeze < 12; freeze += 1) {
    const frozen = oneOf(random, [first, second])
    frozen.signal('SIGSTOP')
    await settledMore(load, between(random, 1, 25))
    frozen.signal('SIGCONT')
    await settledMore(load, between(random, 1, 25))
  }
  await load.finish()
  await expectTruth(site, load.settled)
})
