import { TriggerAction } from 'iii-sdk'
import { expect, test } from 'vitest'
import type { DeliveryRequest } from '../../../src/queue/queue.ts'
import { relayTracing } from '../../../src/workers/process/tracing.ts'
import { sendEffect } from '../../../src/workers/projections/send-effect.ts'
import { deliverBy } from '../../../src/workers/queue/queue-delivery.ts'
import { sdkWorker } from '../../support/sdk-worker.ts'
import { newSite, startSystem } from '../../support/system.ts'
import { until } from '../../support/until.ts'

test('a command that is enqueued is carried out, or is a dead letter that says why it was refused', async () => {
  const site = await newSite()
  await startSystem(site)
  const worker = await sdkWorker(site.engine)
  await worker.trigger({
    function_id: 'queue::define',
    payload: { queue: 'orders', config: { max_retries: 1, concurrency: 1 } },
  })
  const enqueue = (function_id: string, payload: object) =>
    worker.trigger({ function_id, payload, action: TriggerAction.Enqueue({ queue: 'orders' }) })
  const mug = { sku: 'mug-1', name: 'Mug', priceCents: 900, quantity: 5 }
  await enqueue('cmd::add-inventory-item', mug)
  await enqueue('cmd::add-inventory-item', { ...mug, quantity: -1 })
  await enqueue('cmd::sell-item', { sku: 'mug-1', quantity: 9 })
  await enqueue('cmd::sell-item', { sku: 'mug-1', quantity: 2 })

  const stock = async () =>
    (await fetch(`${site.http}/inventory/mug-1`)).json() as Promise<{ stock?: number }>
  await until('the last command is carried out', async () => (await stock()).stock === 3)
  const letters = (await worker.trigger({
    function_id: 'engine::queue::dlq_messages',
    payload: { topic: 'orders' },
  })) as { error: string; payload: unknown }[]
  expect(letters).toMatchObject([
    {
      error: expect.stringMatching(
        /cmd::add-inventory-item was not accepted: its input is not valid: quantity/,
      ),
    },
    { error: expect.stringMatching(/cmd::sell-item was not accepted: insufficient_stock: /) },
  ])
})

test('an effect can publish durably: a subscriber that fails at first gets what was published', async () => {
  const site = await newSite()
  await startSystem(site)
  const worker = await sdkWorker(site.engine)
  const got: unknown[] = []
  worker.registerFunction('desk::tell', async (data: unknown) => {
    got.push(data)
    if (got.length === 1) throw new Error('no paper')
  })
  worker.registerTrigger({
    type: 'durable:subscriber',
    function_id: 'desk::tell',
    config: { topic: 'transfers.large', queue_config: { backoff_ms: 10 } },
  })
  await until('the topic is subscribed to', async () =>
    JSON.stringify(await worker.trigger({ function_id: 'engine::queue::list_topics', payload: {} })).includes(
      'transfers.large',
    ),
  )
  const data = { topic: 'transfers.large', data: { id: 'one' } }
  const effect = { kind: 'call', functionId: 'iii::durable::publish', data } as const
  expect(
    await sendEffect(worker, effect, 'transfers:3:1', {
      timeoutMs: 5_000,
      others: { met() {}, missed() {} },
    }),
  ).toBe('sent')
  await until('it is delivered again', () => got.length === 2)
  expect(got).toMatchObject([{ id: 'one' }, { id: 'one' }])
})

test('every delivery of a message gives its command the same idempotency key, which no other message has', async () => {
  const keys: unknown[] = []
  const trigger = async (call: { metadata?: { idempotencyKey?: string } }) => {
    keys.push(call.metadata?.idempotencyKey)
    return { kind: 'accepted', position: 1, version: 1, events: 1, replayed: false }
  }
  const deliver = deliverBy({ trigger } as never, relayTracing())
  const messages = [
    ['orders', 'one', 'cmd::sell-item'],
    ['orders', 'one', 'cmd::sell-item'],
    ['orders', 'two', 'cmd::sell-item'],
    ['bestellungen für später', 'one', 'cmd::sell-item'],
    ['orders', 'three', 'mail::send'],
  ]
  for (const [queue, id, functionId] of messages) {
    const message = { id, functionId, data: '{}' }
    const request = { queue, message, settings: { timeout_ms: 100 } } as unknown as DeliveryRequest
    expect(await deliver(request)).toEqual({ outcome: 'done' })
  }
  const [first, again, ...others] = keys
  expect(first).toMatch(/^queue:[0-9a-f]{64}$/)
  expect(again).toBe(first)
  expect(others.slice(0, 2)).not.toContain(first)
  expect(others[0]).not.toBe(others[1])
  expect(others[2]).toBeUndefined()
})

test.each([
  { code: 'CQRS_STORE_FULL', outcome: 'missing' },
  { code: 'CQRS_STORE_UNAVAILABLE', outcome: 'missing' },
  { code: 'CQRS_CLOSED', outcome: 'missing' },
  { code: 'CQRS_OVERLOADED', outcome: 'unsent' },
])(
  'while commands answer $code, messages wait ($outcome): not each of them asks again',
  async ({ code, outcome }) => {
    const trigger = async () => {
      throw Object.assign(new Error(`${code}: It cannot be stored.`), { code: 'invocation_failed' })
    }
    const message = { id: 'one', functionId: 'cmd::sell-item', data: '{}' }
    const request = { queue: 'orders', message, settings: { timeout_ms: 100 } } as unknown as DeliveryRequest
    expect(await deliverBy({ trigger } as never, relayTracing())(request)).toEqual({ outcome })
  },
)

test('an HTTP request that is enqueued for a command waits as well while no command can be stored', async () => {
  const error = { code: 'CQRS_STORE_FULL', message: 'The disk is full.' }
  const trigger = async () => ({ status_code: 503, body: { error } })
  const message = { id: 'one', functionId: 'cmd::sell-item', data: '{}' }
  const request = { queue: 'orders', message, settings: { timeout_ms: 100 } } as unknown as DeliveryRequest
  expect(await deliverBy({ trigger } as never, relayTracing())(request)).toEqual({ outcome: 'missing' })
})

test('an HTTP request that is enqueued for a command as it came fails with the command', async () => {
  const site = await newSite()
  await startSystem(site)
  const worker = await sdkWorker(site.engine)
  const request = (body: object) => ({ trigger: { type: 'http' }, path_params: {}, headers: {}, body })
  const deliver = (data: object) => {
    const message = { id: 'one', functionId: 'cmd::add-inventory-item', data: JSON.stringify(request(data)) }
    return deliverBy(
      worker,
      relayTracing(),
    )({
      queue: 'orders',
      message,
      settings: { timeout_ms: 5_000 },
    } as unknown as DeliveryRequest)
  }
  const mug = { sku: 'mug-1', name: 'Mug', priceCents: 900, quantity: 5 }
  expect(await deliver(mug)).toEqual({ outcome: 'done' })
  expect(await deliver(mug), 'it is delivered again').toEqual({ outcome: 'done' })
  expect(await deliver({ ...mug, quantity: -1 })).toEqual({
    outcome: 'failed',
    error: expect.stringMatching(/was not accepted: CQRS_VALIDATION: /),
  })
})
