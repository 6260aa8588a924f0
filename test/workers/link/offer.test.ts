import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { startEngine } from '../../../src/engine/engine.ts'
import type { Ownership } from '../../../src/engine/options.ts'
import { offer } from '../../../src/workers/link/offer.ts'
import { functionKnown, sdkWorker } from '../../support/sdk-worker.ts'
import { until } from '../../support/until.ts'

const silent = pino({ level: 'silent' })

async function twoWorkers(ownership: Ownership = 'last') {
  const engine = await startEngine({ port: 0, http: { port: 0 }, ownership })
  onTestFinished(() => engine.close())
  const [owner, other] = [await sdkWorker(engine.url), await sdkWorker(engine.url)]
  const offered = await offer(
    owner,
    [
      {
        id: 'cmd::greet',
        description: 'Greets.',
        http: { method: 'GET', path: '/greet' },
        handle: async () => ({ status_code: 200, body: { from: 'owner' } }),
      },
    ],
    silent,
    'one',
  )
  const call = () => other.trigger({ function_id: 'cmd::greet', payload: {}, timeoutMs: 1_000 })
  const fromOwner = async () => ((await call()) as { body: { from: string } }).body.from === 'owner'
  await until('the function is there', fromOwner)
  return { engine, owner, other, offered, call, fromOwner }
}

test('a function that another worker took comes back when that worker goes, with its route', async () => {
  const { engine, call, fromOwner } = await twoWorkers()
  const thief = await sdkWorker(engine.url)
  thief.registerFunction('cmd::greet', async () => ({ body: { from: 'thief' } }))
  await until(
    'the thief has it',
    async () => ((await call()) as { body: { from: string } }).body.from === 'thief',
  )
  await thief.shutdown()
  await until('the owner has it again', fromOwner)
  await until('the route is there', async () => (await fetch(`${engine.httpUrl}/greet`)).status === 200)
})

test('where the first registration wins, who was refused has the function as soon as its owner goes', async () => {
  const { engine, owner, call, fromOwner } = await twoWorkers('first')
  const standby = await offer(
    await sdkWorker(engine.url),
    [{ id: 'cmd::greet', description: 'Greets.', handle: async () => ({ body: { from: 'standby' } }) }],
    silent,
    'one',
  )
  expect(await fromOwner()).toBe(true)
  await owner.shutdown()
  await until(
    'the standby has it',
    async () => ((await call()) as { body: { from: string } }).body.from === 'standby',
  )
  standby.unregister()
})

test('where the first registration wins, a route that a second worker took comes back when that one goes', async () => {
  const { engine, fromOwner } = await twoWorkers('first')
  const second = await sdkWorker(engine.url)
  const greet = { id: 'cmd::greet', description: 'Greets.', handle: async () => ({ body: {} }) }
  await offer(second, [{ ...greet, http: { method: 'GET', path: '/greet' } }], silent, 'one')
  await functionKnown(second, 'cmd::greet')
  await second.shutdown()
  expect(await fromOwner()).toBe(true)
  await until('the route is there', async () => (await fetch(`${engine.httpUrl}/greet`)).status === 200)
})

test('what is withdrawn stays away', async () => {
  const { engine, offered, call } = await twoWorkers()
  offered.unregister()
  await until('it is gone', () =>
    call().then(
      () => false,
      ({ code }) => code === 'function_not_found',
    ),
  )
  const passer = await sdkWorker(engine.url)
  await passer.shutdown()
  await expect(call()).rejects.toMatchObject({ code: 'function_not_found' })
})

test('who takes functions that another worker has is warned: it may be a second system', async () => {
  const { engine } = await twoWorkers()
  const warnings: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(line) })
  const greet = { id: 'cmd::greet', description: 'Greets.', handle: async () => ({}) }
  await offer(await sdkWorker(engine.url), [greet], log, 'one')
  expect(warnings).toEqual([
    expect.stringContaining('another worker on this engine has registered the same functions'),
  ])
})

test('an answer larger than the engine takes is an error for who asked, and cuts off nobody', async () => {
  const { engine, owner, other, fromOwner } = await twoWorkers()
  const answer = async () => ({ status_code: 200, body: 'x'.repeat(16 * 1024 * 1024) })
  const http = { method: 'GET', path: '/large' } as const
  await offer(owner, [{ id: 'query::large', description: 'Too large.', http, handle: answer }], silent, 'one')
  await until('the route is there', async () => (await fetch(`${engine.httpUrl}/large`)).status === 500)
  const response = await fetch(`${engine.httpUrl}/large`)
  expect(await response.json()).toMatchObject({ error: { code: 'CQRS_TOO_LARGE' } })
  await expect(other.trigger({ function_id: 'query::large', payload: {} })).rejects.toThrow('CQRS_TOO_LARGE')
  expect(await fromOwner()).toBe(true)
})

test('functions of another system are refused, none of them is registered, and its own system may take over', async () => {
  const engine = await startEngine({ port: 0, http: { port: 0 } })
  onTestFinished(() => engine.close())
  const named = (id: string, from: string) => ({ id, description: 'One.', handle: async () => from })
  await offer(await sdkWorker(engine.url), [named('cmd::order', 'shop')], silent, 'shop')
  const other = await sdkWorker(engine.url)
  const late = [named('cmd::stock', 'warehouse'), named('cmd::order', 'warehouse')]
  await expect(offer(other, late, silent, 'warehouse')).rejects.toMatchObject({
    code: 'CQRS_ENGINE_TAKEN',
    message: expect.stringContaining('the same on this engine: cmd::order. Give'),
  })
  const ask = (function_id: string) => other.trigger({ function_id, payload: {}, timeoutMs: 1_000 })
  expect(await ask('cmd::order')).toBe('shop')
  await expect(ask('cmd::stock')).rejects.toMatchObject({ code: 'function_not_found' })
  await offer(await sdkWorker(engine.url), [named('cmd::order', 'successor')], silent, 'shop')
  await until('the successor has it', async () => (await ask('cmd::order')) === 'successor')
})

test('a system that loses functions to another one, which began at the same moment, says so once', async () => {
  const engine = await startEngine({ port: 0, http: { port: 0 } })
  onTestFinished(() => engine.close())
  const errors: string[] = []
  const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(line) })
  const order = { id: 'cmd::order', description: 'Orders.', handle: async () => 'shop' }
  await offer(await sdkWorker(engine.url), [order], log, 'shop')
  const other = await sdkWorker(engine.url)
  // It has looked before the first one registered.
  other.registerFunction('cmd::order', async () => 'warehouse', { metadata: { cqrsSystem: 'warehouse' } })
  await until('it is said', () => errors.length > 0)
  for (const id of ['cmd::stock', 'cmd::ship']) {
    other.registerFunction(id, async () => id)
    await functionKnown(other, id)
  }
  expect(errors).toEqual([expect.stringContaining('offers functions of this one and is called in its place')])
  expect(errors[0]).toContain('"functions":["cmd::order"]')
})

test('a route of another system is refused, whatever its parameters are called; a route of its own system is not', async () => {
  const engine = await startEngine({ port: 0, http: { port: 0 } })
  onTestFinished(() => engine.close())
  const named = (id: string, path: string) => ({
    id,
    description: 'One.',
    http: { method: 'GET' as const, path },
    handle: async () => ({ status_code: 200, body: id }),
  })
  await offer(await sdkWorker(engine.url), [named('query::order', '/orders/:order')], silent, 'shop')
  const other = await sdkWorker(engine.url)
  await expect(
    offer(other, [named('query::shipment', '/orders/:id')], silent, 'warehouse'),
  ).rejects.toMatchObject({ code: 'CQRS_ENGINE_TAKEN', message: expect.stringContaining('GET /orders/:id.') })
  expect(await (await fetch(`${engine.httpUrl}/orders/4711`)).json()).toBe('query::order')
  await offer(other, [named('query::renamed', '/orders/:id')], silent, 'shop')
  await offer(other, [named('query::shipment', '/shipments/:id')], silent, 'warehouse')
})
