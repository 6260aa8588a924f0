import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { CqrsProcess } from '../support/cqrs-process.ts'
import { settle } from '../support/inventory-client.ts'
import { settledMore, startLoad } from '../support/load.ts'
import { childrenOf, killIfAlive } from '../support/process-tree.ts'
import { between, seededRandom, testSeed } from '../support/random.ts'
import { newSite, startSystem } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const seed = testSeed()
const TEST_MS = 180_000

test('told to stop under load it stops in time, and after a new start nothing is missing', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite()
  const up = await startSystem(site)
  const load = await startLoad({ http: site.http, seed })
  await settledMore(load, 100)

  const told = performance.now()
  expect(await up.end('SIGTERM')).toEqual({ code: 0, signal: null })
  expect(performance.now() - told).toBeLessThan(15_000)
  expect(up.output).not.toContain('did not stop in time')

  await startSystem(site)
  await settledMore(load, 50)
  await load.finish()
  await expectTruth(site, load.settled)
})

test.each([
  { killed: 'killed alone', all: false },
  { killed: 'killed with everything that it started', all: true },
])('$killed under load, it can be started again at once', { timeout: TEST_MS }, async ({ all }) => {
  const site = await newSite({ CQRS_PROJECTIONS_WORKERS: '2' })
  const up = await startSystem(site)
  const load = await startLoad({ http: site.http, seed })
  await settledMore(load, 100)
  const sharing = childrenOf(up.pid).filter(({ args }) => / projections(?![\w-])/.test(args))
  expect(sharing, 'two processes share the projections').toHaveLength(2)

  const started = all ? childrenOf(up.pid) : []
  up.signal('SIGKILL')
  // One that has noticed the end of its supervisor may have ended by itself.
  for (const { pid } of started) killIfAlive(pid)
  await up.exited
  await startSystem(site)
  await settledMore(load, 50)
  await load.finish()
  await expectTruth(site, load.settled)
})

test('killed at any moment of its first start, it starts the next time', { timeout: TEST_MS }, async () => {
  const random = seededRandom(seed)
  for (let round = 0; round < 3; round += 1) {
    const site = await newSite()
    const up = new CqrsProcess(['up'], site.env)
    await until('the workers are starting', () => childrenOf(up.pid).length > 1, 30_000)
    await delay(between(random, 0, 1_000))
    await up.end('SIGKILL')

    await startSystem(site)
    const mug = { sku: 'mug-1', name: 'Mug', priceCents: 1_250, quantity: 10 }
    const command = { path: '/inventory', body: mug, idempotencyKey: 'add' }
    await expectTruth(site, [{ command, answer: await settle(site.http, command) }])
  }
})
