import type { IIIClient } from 'iii-sdk'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import app from '../../src/inventory/app.ts'
import type { DeliveryRequest } from '../../src/queue/queue.ts'
import { startCommands } from '../../src/workers/commands.ts'
import { CallsInFlight } from '../../src/workers/link/calls-in-flight.ts'
import { Metrics } from '../../src/workers/process/metrics.ts'
import { relayTracing } from '../../src/workers/process/tracing.ts'
import { sendEffect } from '../../src/workers/projections/send-effect.ts'
import { deliverBy } from '../../src/workers/queue/queue-delivery.ts'
import { tempFolder } from '../support/temp-folder.ts'

type Call = { function_id: string; payload: unknown; metadata?: unknown }
type Handler = (payload: unknown, metadata?: unknown) => Promise<unknown>

/** The commands worker on an engine that does nothing. @returns calls a function as another worker does */
async function commands(env: Record<string, string> = {}) {
  const functions = new Map<string, Handler>()
  const registration = { unregister() {} }
  const iii = {
    registerFunction(id: string, handler: Handler) {
      functions.set(id, handler)
      return registration
    },
    registerTrigger: () => registration,
    trigger: async () => undefined,
  }
  const folder = tempFolder()
  const role = await startCommands({
    app,
    code: '',
    config: loadConfig({ env: { CQRS_DATA: folder, ...env }, cwd: folder }),
    iii: iii as unknown as IIIClient,
    inFlight: new CallsInFlight(),
    log: pino({ level: 'silent' }),
    metrics: new Metrics(),
    tracing: relayTracing(),
    stands: () => {},
    met: () => {},
    fail: () => {},
    stopping: new AbortController().signal,
  })
  onTestFinished(() => role.stop())
  return (id: string, payload: unknown, metadata?: unknown) => functions.get(id)?.(payload, metadata)
}

const mug = { sku: 'mug-1', name: 'Mug', priceCents: 1_250, quantity: 10 }

test('a worker that calls a command twice with one key gets the first answer again', async () => {
  const call = await commands()
  const metadata = { idempotencyKey: 'add-mug', whatever: 'the caller keeps there' }
  expect(await call('cmd::add-inventory-item', mug, metadata)).toMatchObject({ position: 1, replayed: false })
  expect(await call('cmd::add-inventory-item', mug, metadata)).toMatchObject({ position: 1, replayed: true })
})

test.each(['idempotency_key', 'Idempotency-Key', 'idempotencykey', 'X-Idempotency-Key'])(
  'a key under the name %s is refused, and not taken for none',
  async (name) => {
    const call = await commands()
    expect(await call('cmd::add-inventory-item', mug, { [name]: 'k' })).toEqual({
      kind: 'invalid',
      issues: [{ field: name, problem: 'is not read; give the key as idempotencyKey' }],
    })
    // The key counts if it is at its place, too.
    const both = { [name]: 'k', idempotencyKey: 'k' }
    expect(await call('cmd::add-inventory-item', mug, both)).toMatchObject({ kind: 'accepted' })
  },
)

test.each(['x-idempotency-key', 'idempotency_key'])(
  'a header %s is refused, and not taken for none',
  async (name) => {
    const call = await commands()
    const request = (headers: object) => ({
      trigger: { type: 'http' },
      path_params: {},
      query_params: {},
      headers: { 'content-type': 'application/json', 'content-length': '80', ...headers },
      body: mug,
    })
    expect(await call('cmd::add-inventory-item', request({ [name]: 'k' }))).toMatchObject({
      status_code: 400,
      body: { error: { issues: [{ field: name, problem: 'is not read; give the key as Idempotency-Key' }] } },
    })
    expect(await call('cmd::add-inventory-item', request({ 'idempotency-key': 'k' }))).toMatchObject({
      status_code: 201,
    })
  },
)

test('what a worker says about its call is checked, and the field is named', async () => {
  const call = await commands()
  for (const [metadata, field] of [
    [{ idempotencyKey: 42 }, 'idempotencyKey'],
    [{ idempotencyKey: '' }, 'idempotencyKey'],
    [{ idempotencyKey: 'k'.repeat(256) }, 'idempotencyKey'],
    [{ correlationId: ['a'] }, 'correlationId'],
    ['a text', '(input)'],
  ] as const) {
    const outcome = await call('cmd::add-inventory-item', mug, metadata)
    expect(outcome).toMatchObject({ kind: 'invalid', issues: [{ field }] })
  }
  expect(await call('cmd::add-inventory-item', mug)).toMatchObject({ kind: 'accepted', position: 1 })
})

test('a body that is not declared as JSON is refused for that, not for missing fields', async () => {
  const call = await commands()
  const post = (headers: Record<string, string>, body: unknown) =>
    call('cmd::add-inventory-item', {
      trigger: { type: 'http' },
      query_params: {},
      path_params: {},
      headers,
      body,
    })
  const form = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '64' }
  expect(await post(form, null)).toMatchObject({
    status_code: 400,
    body: { error: { issues: [{ field: 'Content-Type' }] } },
  })
  const json = { 'content-type': 'application/json', 'content-length': '64' }
  expect(await post(json, mug)).toMatchObject({ status_code: 201 })
})

test('a request without a body is told which fields are missing', async () => {
  const call = await commands()
  const request = { trigger: { type: 'http' }, query_params: {}, path_params: {}, headers: {}, body: null }
  const { body } = (await call('cmd::add-inventory-item', request)) as {
    body: { error: { issues: { field: string }[] } }
  }
  expect(body.error.issues.map(({ field }) => field)).toContain('sku')
})

test('more commands than may wait for the disk are refused as overload, and taken when they come again', async () => {
  const call = await commands({ CQRS_COMMANDS_MAX_WAITING: '1' })
  const add = (sku: string) =>
    call('cmd::add-inventory-item', {
      trigger: { type: 'http' },
      query_params: {},
      path_params: {},
      headers: { 'content-type': 'application/json', 'idempotency-key': `add-${sku}` },
      body: { ...mug, sku },
    })
  const [first, ...others] = await Promise.all(['a', 'b', 'c'].map(add))
  expect(first).toMatchObject({ status_code: 201, body: { position: 1 } })
  for (const refused of others) {
    expect(refused).toMatchObject({
      status_code: 503,
      headers: { 'Retry-After': '1' },
      body: { error: { code: 'CQRS_OVERLOADED' } },
    })
  }
  expect(await add('b')).toMatchObject({ status_code: 201, body: { position: 2 } })
})

test('an effect and a message whose command cannot be stored at the moment have not failed: they wait', async () => {
  const call = await commands({ CQRS_COMMANDS_MAX_WAITING: '1' })
  // As it reaches a caller through the engine: of an error, only the message is passed on.
  const iii = {
    trigger: ({ function_id, payload, metadata }: Call) =>
      call(function_id, payload, metadata)?.catch(({ message }: Error) => {
        throw Object.assign(new Error(message), { code: 'invocation_failed' })
      }),
  } as unknown as Parameters<typeof sendEffect>[0]
  const functionId = 'cmd::add-inventory-item'
  const send = () =>
    sendEffect(iii, { kind: 'call', functionId, data: mug }, 'buyer:1:1', {
      timeoutMs: 5_000,
      others: { met() {}, missed() {} },
    })
  const data = JSON.stringify({ ...mug, sku: 'mug-2' })
  const message = { id: 'one', functionId, data }
  const request = { queue: 'orders', message, settings: { timeout_ms: 100 } } as unknown as DeliveryRequest
  const deliver = deliverBy(iii, relayTracing())
  const first = call(functionId, { ...mug, sku: 'first' })
  expect(await Promise.all([send(), deliver(request)])).toEqual(['unreachable', { outcome: 'unsent' }])
  expect(await first).toMatchObject({ kind: 'accepted', position: 1 })
  expect(await send()).toBe('sent')
  expect(await deliver(request)).toEqual({ outcome: 'done' })
})

test('a worker whose command cannot be stored at the moment is told the code of the error', async () => {
  const call = await commands({ CQRS_COMMANDS_MAX_WAITING: '1' })
  const [, second] = ['a', 'b'].map((sku) => call('cmd::add-inventory-item', { ...mug, sku }))
  await expect(second).rejects.toThrow(/^CQRS_OVERLOADED: /)
})
