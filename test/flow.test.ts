import { expect, test } from 'vitest'
import { acceptedAt, request } from './support/inventory-client.ts'
import { functionKnown, sdkWorker } from './support/sdk-worker.ts'
import { newSite, startSystem } from './support/system.ts'
import { until } from './support/until.ts'

/**
 * The whole way of one command, through real processes: HTTP → engine → commands worker → event log →
 * queue → projections worker → view → queries worker → HTTP.
 */
test('what a command does can be read back, and whoever listens is alerted', async () => {
  // The engine and every role run as processes of their own. The sweep, which would find the events without
  // the queue, sleeps for an hour.
  const site = await newSite({ CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '3600000' })
  await startSystem(site)

  // Any iii worker can listen to the topic of the low-stock alerts.
  const alerts: unknown[] = []
  const listener = await sdkWorker(site.engine)
  listener.registerFunction('listener::alert', async (alert: unknown) => void alerts.push(alert))
  listener.registerTrigger({
    type: 'subscribe',
    function_id: 'listener::alert',
    config: { topic: 'alerts.low-stock' },
  })
  await functionKnown(listener, 'listener::alert')

  // A command is answered when its event is on stable storage: position and version are its place there.
  const mug = { sku: 'mug-1', name: 'Mug', priceCents: 1_250, quantity: 10 }
  const added = await request(`${site.http}/inventory`, { command: { body: mug, idempotencyKey: 'add-mug' } })
  expect(added.status).toBe(201)
  expect(added.body).toEqual({ position: 1, version: 1, events: 1 })

  // The same command with the same key is the same command: the first answer again, and no second event.
  const again = await request(`${site.http}/inventory`, { command: { body: mug, idempotencyKey: 'add-mug' } })
  expect(again.body).toEqual(added.body)
  expect(again.headers.get('idempotent-replayed')).toBe('true')

  const sale = { body: { quantity: 6 }, idempotencyKey: 'sell-six' }
  const sold = await request(`${site.http}/inventory/mug-1/sell`, { command: sale })
  expect(sold.body).toEqual({ position: 2, version: 2, events: 1 })

  // What the stock does not allow is refused, and leaves nothing behind.
  const tooMany = { body: { quantity: 5 }, idempotencyKey: 'sell-five' }
  const refused = await request(`${site.http}/inventory/mug-1/sell`, { command: tooMany })
  expect(refused.status).toBe(409)
  expect(refused.body).toMatchObject({ error: { code: 'insufficient_stock', details: { available: 4 } } })

  // The events went through the projections' queues into the views; `after` waits for one's own write.
  const item = await request(`${site.http}/inventory/mug-1?after=${acceptedAt(sold)}`)
  expect(item.body).toMatchObject({ sku: 'mug-1', stock: 4, unitsSold: 6, revenueCents: 7_500 })
  expect(item.headers.get('x-projection-position')).toBe('2')
  const stats = await request(`${site.http}/inventory/stats?after=${acceptedAt(sold)}`)
  expect(stats.body).toMatchObject({ items: 1, unitsInStock: 4, sales: 1, revenueCents: 7_500 })

  // The log itself can be read as well, newest first.
  const history = await request(`${site.http}/inventory/mug-1/history`)
  expect(history.body).toMatchObject({
    events: [{ type: 'inventory-item-sold' }, { type: 'inventory-item-added' }],
  })

  // Four mugs are no more than the threshold of five: the reactor recorded one alert and published it.
  await until('the alert arrives', () => alerts.length > 0)
  expect(alerts).toEqual([{ sku: 'mug-1', stock: 4, threshold: 5, idempotencyKey: 'inventory-alert:2:1' }])
})
