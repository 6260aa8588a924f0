import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { given, project } from 'iii-durable-cqrs/testing'
import { expect, onTestFinished, test } from 'vitest'
import { opsToken } from '../support/ops-token.ts'
import { RawWorker } from '../support/raw-worker.ts'
import { newSite, startSystem } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'
import { orders, saga, stock } from './orders-app.ts'

/** The system with the app of the page and 10 mugs. */
async function shop(app = 'orders-app.ts') {
  const site = await newSite({
    CQRS_APP: join(import.meta.dirname, app),
    CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '50',
  })
  await startSystem(site)
  const caller = await RawWorker.connect(site.engine)
  const call = async (id: string, payload: object) =>
    (await caller.call(id, payload, { metadata: opsToken(site.data) })).result
  const command = async (name: string, payload: object) =>
    (await caller.call(`cmd::${name}`, payload, {})).result as { kind: string; events?: number }
  const answer = async (name: string, payload: object) =>
    ((await call(`query::${name}`, payload)) as { result?: Record<string, unknown> }).result
  const mugs = { sku: 'mug', quantity: 10 }
  await command('receive-stock', mugs)
  return {
    dead: (reactor: string) => call(`ops::effects::dead::${reactor}`, { limit: 10 }),
    place: (order: string, quantity: number, cents: number) =>
      command('place-order', { order, sku: 'mug', quantity, cents }),
    order: (order: string) => answer('get-order', { order }),
    free: async () => (await answer('get-stock', { sku: 'mug' }))?.free,
    /** Starts a program of the page as a process of its own. */
    start(file: string, env: Record<string, string> = {}) {
      const child = spawn(process.execPath, [join(import.meta.dirname, file)], {
        env: { ...process.env, III_URL: site.engine, ...env },
        stdio: ['ignore', 'ignore', 'inherit'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
    },
  }
}

async function ends(order: () => Promise<object | undefined>, end: object) {
  const { status } = end as { status: string }
  await until(
    `the order is ${status}`,
    async () => ((await order()) as { status?: string } | undefined)?.status === status,
  )
  expect(await order()).toMatchObject(end)
}

test('an order ends confirmed and paid, or cancelled with its stock given back, and no effect is dead', async () => {
  const { start, place, order, free, dead } = await shop()
  start('payments.ts', { PAYMENTS_DB: join(tempFolder(), 'payments.db') })
  await place('fine', 3, 500)
  await ends(() => order('fine'), { status: 'confirmed' })
  // A view of its own, which may be behind that of the orders.
  await until('the stock is reserved', async () => (await free()) === 7)

  await place('large', 8, 500)
  await ends(() => order('large'), { status: 'cancelled', reason: 'There are 7 of mug.' })
  await place('dear', 2, 100_000)
  await ends(() => order('dear'), { status: 'cancelled', reason: 'The card has not enough money.' })
  await until('the stock is given back', async () => (await free()) === 7)
  expect([await dead('order-saga'), await dead('charges')]).toEqual([[], []])
})

test('an order that takes too long is cancelled by the clock', async () => {
  const { start, place, order } = await shop('../support/orders-without-saga-app.ts')
  await place('late', 3, 500)
  start('order-clock.ts', { MAX_AGE_MS: '100' })
  await ends(() => order('late'), { status: 'cancelled', reason: 'It took too long.' })
})

test('steps that come after an order was cancelled do nothing', () => {
  const item = { order: 'o-1', sku: 'mug', quantity: 3 }
  const placed = { type: 'order-placed', data: { ...item, cents: 500 } } as const
  const cancelled = { type: 'order-cancelled', data: { ...item, reason: 'It took too long.' } } as const
  const late = given(orders, placed, cancelled)
  late.when('request-payment', { order: 'o-1' }).thenEvents()
  late.when('confirm-order', { order: 'o-1' }).thenEvents()
  late.when('give-up-order', { order: 'o-1', reason: 'There are 0 of mug.' }).thenEvents()
})

test('a compensation that overtakes its step makes the step void', () => {
  const received = { type: 'stock-received', data: { sku: 'mug', quantity: 10 } } as const
  const step = { order: 'o-1', sku: 'mug', quantity: 3 }
  const released = { type: 'stock-released', data: { ...step, quantity: 0 } } as const
  given(stock, received).when('release-stock', step).thenEvents(released)
  given(stock, received, released).when('reserve-stock', step).thenEvents()
  given(stock, received, released).when('release-stock', step).thenEvents()
})

test('the saga gives up an order whose stock was refused, and gives back what a cancelled one holds', () => {
  const item = { order: 'o-1', sku: 'mug', quantity: 3 }
  const reason = 'There are 0 of mug.'
  expect(project(saga, { type: 'stock-refused', data: { ...item, reason } }).effects).toEqual([
    { kind: 'call', functionId: 'cmd::give-up-order', data: { order: 'o-1', reason } },
  ])
  expect(project(saga, { type: 'order-cancelled', data: { ...item, reason } }).effects).toEqual([
    { kind: 'call', functionId: 'cmd::release-stock', data: item },
  ])
})
