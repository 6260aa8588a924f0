import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { engineForTest, route, workerForTest } from './start.ts'

/** What clients go by: status, code and how long to wait. */
async function ask(httpUrl: string, method: string, path: string): Promise<unknown[]> {
  const response = await fetch(`${httpUrl}${path}`, { method })
  const body = (await response.json()) as { error?: { code: string } }
  return [response.status, body.error?.code, response.headers.get('retry-after')]
}

const OK = [200, undefined, null]
const AWAY = [503, 'WORKER_AWAY', '1']
const UNKNOWN = [404, 'NOT_FOUND', null]

test('while a worker is away its routes say try again; those of others, and paths nobody had, answer as ever', async () => {
  const engine = await engineForTest({ http: { awayRouteMs: 60_000 } })
  const at = (method: string, path: string) => ask(engine.httpUrl, method, path)
  const reader = await workerForTest(engine)
  const writer = await workerForTest(engine)
  await route(reader, { api_path: '/items/:id', http_method: 'GET' }, () => ({ body: {} }))
  await route(writer, { api_path: '/items/:id', http_method: 'POST' }, () => ({ body: {} }))
  expect(await at('POST', '/items/7')).toEqual(OK)

  writer.terminate()
  await until('the worker is seen to be gone', async () => (await at('POST', '/items/7'))[0] !== 200)
  expect(await at('POST', '/items/7')).toEqual(AWAY)
  expect(await at('GET', '/items/7')).toEqual(OK)
  expect(await at('DELETE', '/items/7')).toEqual([405, 'METHOD_NOT_ALLOWED', null])
  expect(await at('POST', '/others/7')).toEqual(UNKNOWN)

  const again = await workerForTest(engine)
  await route(again, { api_path: '/items/:id', http_method: 'POST' }, () => ({ body: {} }))
  expect(await at('POST', '/items/7')).toEqual(OK)
})

test('a route that comes back with other names for its parameters, and goes again, says try again', async () => {
  const engine = await engineForTest({ http: { awayRouteMs: 60_000 } })
  const at = (method: string, path: string) => ask(engine.httpUrl, method, path)
  for (const api_path of ['/items/:id', '/items/:sku']) {
    const worker = await workerForTest(engine)
    await route(worker, { api_path }, () => ({ body: {} }))
    expect(await at('GET', '/items/7')).toEqual(OK)
    worker.terminate()
    await until('it is seen to be gone', async () => (await at('GET', '/items/7'))[0] !== 200)
    expect(await at('GET', '/items/7')).toEqual(AWAY)
    expect(await at('GET', '/others')).toEqual(UNKNOWN)
  }
})

test('a route that several workers have answers from the newest that is there, whoever goes first', async () => {
  const engine = await engineForTest({ http: { awayRouteMs: 60_000 } })
  const answer = async () => (await fetch(`${engine.httpUrl}/items`)).text()
  const join = async (name: string) => {
    const worker = await workerForTest(engine)
    await worker.offer(`test::${name}`, () => ({ body: name }))
    worker.send({
      type: 'registertrigger',
      id: name,
      trigger_type: 'http',
      function_id: `test::${name}`,
      config: { api_path: '/items' },
    })
    await worker.settled()
    return worker
  }
  const [first, second, third] = [await join('first'), await join('second'), await join('third')]
  expect(await answer()).toBe('"third"')
  second.terminate()
  third.terminate()
  await until('the first one has it again', async () => (await answer()) === '"first"')
  // Who registers it again is the newest, and is not behind itself.
  const fourth = await join('fourth')
  first.send({
    type: 'registertrigger',
    id: 'first',
    trigger_type: 'http',
    function_id: 'test::first',
    config: { api_path: '/items' },
  })
  await first.settled()
  expect(await answer()).toBe('"first"')
  first.terminate()
  await until('the fourth one has it', async () => (await answer()) === '"fourth"')
  fourth.terminate()
  await until('nobody has it', async () => (await answer()).includes('WORKER_AWAY'))
})

test('a route whose next worker has to register its function again says try again', async () => {
  const engine = await engineForTest({ http: { awayRouteMs: 60_000 } })
  const [owner, thief] = [await workerForTest(engine), await workerForTest(engine)]
  for (const worker of [owner, thief]) await route(worker, { api_path: '/items' }, () => ({ body: {} }))
  for (const worker of [owner, thief])
    worker.send({
      type: 'registertrigger',
      id: worker === owner ? 'owner' : 'thief',
      trigger_type: 'http',
      function_id: 'test::GET/items',
      config: { api_path: '/items' },
    })
  await Promise.all([owner.settled(), thief.settled()])
  thief.terminate()
  await until('it is gone', async () => (await ask(engine.httpUrl, 'GET', '/items'))[0] !== 200)
  expect(await ask(engine.httpUrl, 'GET', '/items')).toEqual(AWAY)
})

test('a request whose worker goes while its body is on its way is told to try again', async () => {
  const engine = await engineForTest({ http: { awayRouteMs: 60_000 } })
  const worker = await workerForTest(engine)
  await route(worker, { api_path: '/items', http_method: 'POST' }, () => ({ body: {} }))
  const request = httpRequest(`${engine.httpUrl}/items`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  })
  const answered = once(request, 'response') as Promise<[IncomingMessage]>
  request.write('{"quantity":')
  await until(
    'the first half to be there',
    async () => (await ask(engine.httpUrl, 'GET', '/items'))[0] === 405,
  )
  worker.terminate()
  await until('the worker is seen to be gone', async () => {
    return (await ask(engine.httpUrl, 'POST', '/items'))[0] !== 200
  })
  request.end('1}')
  const [response] = await answered
  response.resume()
  expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '1'])
})

test('a request on its way to a worker that withdraws its function is told to try again', async () => {
  const engine = await engineForTest({ http: { awayRouteMs: 60_000 } })
  const worker = await workerForTest(engine)
  const id = 'test::items'
  const config = { api_path: '/items', http_method: 'GET' }
  worker.send({ type: 'registerfunction', id })
  worker.send({ type: 'registertrigger', id: 'items', trigger_type: 'http', function_id: id, config })
  await worker.settled()
  const answer = ask(engine.httpUrl, 'GET', '/items')
  const { invocation_id } = await worker.next('the call', ({ type }) => type === 'invokefunction')
  // As the SDK does: what comes for a function that it has withdrawn meanwhile is not found.
  worker.send({ type: 'unregistertrigger', id: 'items', trigger_type: 'http' })
  worker.send({ type: 'unregisterfunction', id })
  const error = { code: 'function_not_found', message: 'Function not found' }
  worker.send({ type: 'invocationresult', invocation_id, function_id: id, error })
  expect(await answer).toEqual(AWAY)
})

test('a route that stays away is forgotten', async () => {
  const engine = await engineForTest({ http: { awayRouteMs: 2_000 } })
  const worker = await workerForTest(engine)
  await route(worker, { api_path: '/items' }, () => ({ body: {} }))
  worker.terminate()
  await until('it is away', async () => (await ask(engine.httpUrl, 'GET', '/items'))[0] === 503)
  await until('it is unknown', async () => (await ask(engine.httpUrl, 'GET', '/items'))[0] === 404)
})

test('an engine that has just started says try again for what its workers may be about to register', async () => {
  const starting = await engineForTest({ http: { startingMs: 60_000 } })
  expect(await ask(starting.httpUrl, 'GET', '/items')).toEqual(AWAY)
  const worker = await workerForTest(starting)
  await route(worker, { api_path: '/items' }, () => ({ body: {} }))
  expect(await ask(starting.httpUrl, 'GET', '/items')).toEqual(OK)
  // Another worker may be about to bring it.
  expect(await ask(starting.httpUrl, 'POST', '/items')).toEqual(AWAY)
})
