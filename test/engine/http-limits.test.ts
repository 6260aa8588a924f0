import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../support/until.ts'
import { engineForTest, route, workerForTest } from './start.ts'

/** Short to wait for, and long enough for answers that come at once on a busy machine. */
const SHORT_MS = 1_000

const JSON_TYPE = { 'content-type': 'application/json' }

/** An engine with a route that answers with the body that it got. */
async function echo(http: Parameters<typeof engineForTest>[0] = {}) {
  const engine = await engineForTest(http)
  const worker = await workerForTest(engine)
  await route(worker, { api_path: '/echo/:name', http_method: 'POST' }, ({ body, path_params }) => ({
    body: { body, path_params },
  }))
  const post = async (
    body: string | ReadableStream,
    path = '/echo/x',
    headers: Record<string, string> = JSON_TYPE,
  ) => {
    const response = await fetch(`${engine.httpUrl}${path}`, {
      method: 'POST',
      body,
      headers,
      duplex: 'half',
    })
    return {
      status: response.status,
      answer: (await response.json()) as { error?: { code: string; message: string } },
    }
  }
  return { engine, worker, post }
}

test('a JSON body over the limit is a 413, whether its length was announced or not', async () => {
  const { post } = await echo({ http: { maxBodyBytes: 1_000 } })
  const large = JSON.stringify('x'.repeat(200_000))
  const fits = JSON.stringify('x'.repeat(998))
  expect((await post(fits)).status).toBe(200)
  const stream = (text: string) => new Response(text).body as ReadableStream
  for (const refused of [await post(large), await post(stream(large))]) {
    expect(refused).toMatchObject({ status: 413, answer: { error: { code: 'BODY_TOO_LARGE' } } })
  }
  expect((await post(fits)).status).toBe(200)
})

test('the name of the type of a body may be written in capitals', async () => {
  const { post } = await echo()
  const { answer } = await post('{"a":1}', '/echo/x', { 'content-type': 'Application/JSON; Charset=UTF-8' })
  expect(answer).toMatchObject({ body: { a: 1 } })
})

test.each([
  'text/plain; x=application/json',
  'multipart/form-data; boundary=application/json',
  'application/jsonp',
])('a body of type %s is not JSON: pages of any site may send some of these', async (type) => {
  const { post } = await echo()
  const { answer } = await post('{"a":1}', '/echo/x', { 'content-type': type })
  expect(answer).toMatchObject({ body: null })
})

test('the default limit is 1 MiB', async () => {
  const { post } = await echo()
  expect((await post(JSON.stringify('x'.repeat(1_048_574)))).status).toBe(200)
  expect((await post(JSON.stringify('x'.repeat(1_048_575)))).status).toBe(413)
})

test.each([
  ['half a document', '{"a":'],
  ['two documents', '{} {}'],
  ['a trailing comma', '[1,]'],
  ['no document', 'sku=A-1'],
  ['bytes that are no UTF-8', '\ud800'],
])('malformed JSON is a 400 and reaches nobody: %s', async (name, body) => {
  const { post, worker } = await echo()
  const bytes = name.startsWith('bytes')
    ? new Blob([new Uint8Array([0x22, 0xff, 0xfe, 0x22])]).stream()
    : body
  expect(await post(bytes)).toMatchObject({ status: 400, answer: { error: { code: 'INVALID_JSON' } } })
  expect(worker.frames.filter((frame) => frame.type === 'invokefunction')).toEqual([])
})

test('10,000-deep JSON and keys __proto__ are a 400', async () => {
  const { post } = await echo()
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  expect((await post(deep(120))).status).toBe(200)
  for (const body of [deep(121), deep(10_000), '{"__proto__":{"a":1}}', '[{"x":{"\\u005f_proto__":1}}]']) {
    expect(await post(body)).toMatchObject({ status: 400, answer: { error: { code: 'INVALID_JSON' } } })
  }
  expect((await post('{"text":"__proto__","constructor":1}')).status).toBe(200)
})

test('a path with invalid percent-encoding is a 400', async () => {
  const { post } = await echo()
  for (const path of ['/echo/%zz', '/echo/%', '/echo/%ff', '/echo/a%2']) {
    expect(await post('{}', path)).toMatchObject({ status: 400, answer: { error: { code: 'INVALID_PATH' } } })
  }
  expect((await post('{}', '/echo/%C3%BC%2F')).answer).toMatchObject({ path_params: { name: '%C3%BC%2F' } })
})

test('a path without a route is a 404 that says what was asked for and where to look, however long the path', async () => {
  const engine = await engineForTest()
  const refused = async (path: string) => {
    const response = await fetch(`${engine.httpUrl}${path}`, { method: 'POST' })
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    expect([response.status, error.code]).toEqual([404, 'NOT_FOUND'])
    return error.message
  }
  // The query is not repeated: somebody may have put a secret there.
  expect(await refused('/inventorry/x%20y?token=secret')).toMatch(
    /^There is no route POST \/inventorry\/x%20y\. Check the path, and which app runs: .*\/console and \/ops\.$/,
  )
  expect((await refused(`/${'long'.repeat(2_000)}`)).length).toBeLessThan(500)
})

test('over the concurrency limit requests get 503 with Retry-After, and service goes on afterwards', async () => {
  const engine = await engineForTest({ http: { concurrencyRequestLimit: 2 } })
  const worker = await workerForTest(engine)
  const release: (() => void)[] = []
  await route(
    worker,
    { api_path: '/wait' },
    () => new Promise((resolve) => release.push(() => resolve({ body: 1 }))),
  )
  const held = [fetch(`${engine.httpUrl}/wait`), fetch(`${engine.httpUrl}/wait`)]
  await until('both requests to be in flight', () => release.length === 2)
  const refused = await fetch(`${engine.httpUrl}/wait`)
  expect(refused.status).toBe(503)
  expect(refused.headers.get('retry-after')).toBe('1')
  expect(await refused.json()).toMatchObject({ error: { code: 'OVERLOADED' } })
  for (const each of release.splice(0)) each()
  expect((await Promise.all(held)).map((response) => response.status)).toEqual([200, 200])
  const next = fetch(`${engine.httpUrl}/wait`)
  await until('the next request', () => release.length === 1)
  release[0]?.()
  expect((await next).status).toBe(200)
})

/** A request whose head is sent, and whose body is not yet. */
function slowPost(engine: { httpPort?: number | undefined }) {
  const socket = connect(engine.httpPort ?? 0, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const answered = once(socket, 'data').then(([bytes]) => Number(String(bytes).split(' ')[1]))
  socket.write(
    'POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n',
  )
  return { answered, finish: () => socket.write('{}') }
}

test('clients that send their bodies as slowly as they like hold up nobody but those who send one, too', async () => {
  const { engine, worker, post } = await echo({ http: { concurrencyRequestLimit: 2 } })
  await route(worker, { api_path: '/health' }, () => ({ body: 1 }))
  const slow = [slowPost(engine), slowPost(engine)]
  await until('both are on their way', async () => (await post('{}')).status === 503)
  expect((await fetch(`${engine.httpUrl}/health`)).status).toBe(200)
  for (const { finish } of slow) finish()
  expect(await Promise.all(slow.map(({ answered }) => answered))).toEqual([200, 200])
  expect((await post('{}')).status).toBe(200)
})

test('a body that arrives when too many requests are under way is refused, and calls nothing', async () => {
  const { engine, worker, post } = await echo({ http: { concurrencyRequestLimit: 1 } })
  const waiting = Promise.withResolvers<object>()
  await route(worker, { api_path: '/wait' }, () => waiting.promise)
  const slow = slowPost(engine)
  await until('it is on its way', async () => (await post('{}')).status === 503)
  const calls = () => worker.frames.filter((frame) => frame.type === 'invokefunction').length
  const before = calls()
  const first = fetch(`${engine.httpUrl}/wait`)
  await until('the other is under way', () => calls() > before)
  slow.finish()
  expect(await slow.answered).toBe(503)
  expect(calls()).toBe(before + 1)
  waiting.resolve({ body: 1 })
  expect((await first).status).toBe(200)
  expect((await post('{}')).status).toBe(200)
})

test('a client that goes away frees its place', async () => {
  const engine = await engineForTest({ http: { concurrencyRequestLimit: 1, defaultTimeoutMs: 300 } })
  const worker = await workerForTest(engine)
  await route(worker, { api_path: '/hang' }, () => new Promise(() => {}))
  await route(worker, { api_path: '/quick' }, () => ({ body: 1 }))
  const leaving = new AbortController()
  const request = fetch(`${engine.httpUrl}/hang`, { signal: leaving.signal }).catch(() => 'left')
  await worker.next('the request', (frame) => frame.type === 'invokefunction')
  leaving.abort()
  expect(await request).toBe('left')
  await until('the place to be free', async () => (await fetch(`${engine.httpUrl}/quick`)).status === 200)
})

test('an answer in time is 200, one that does not come is a 504 with code TIMEOUT', async () => {
  const engine = await engineForTest({ http: { defaultTimeoutMs: SHORT_MS } })
  const worker = await workerForTest(engine)
  await route(worker, { api_path: '/hang' }, () => new Promise(() => {}))
  await route(worker, { api_path: '/nothing' }, () => undefined)
  const hung = await fetch(`${engine.httpUrl}/hang`)
  expect([hung.status, await hung.json()]).toMatchObject([504, { error: { code: 'TIMEOUT' } }])
  const nothing = await fetch(`${engine.httpUrl}/nothing`)
  expect([nothing.status, await nothing.json()]).toMatchObject([504, { error: { code: 'NO_ANSWER' } }])
})

test.each([
  ['headers', 'POST /echo/x HTTP/1.1\r\nHost: x\r\n'],
  [
    'a body',
    'POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a"',
  ],
])('a client that does not finish sending %s is cut off with 408', async (_what, text) => {
  const { engine } = await echo({ http: { headersTimeoutMs: 100, requestTimeoutMs: 200 } })
  const socket = connect(engine.httpPort ?? 0, '127.0.0.1')
  let received = ''
  socket.on('data', (bytes) => {
    received += String(bytes)
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(text)
  await closed
  expect(received).toContain('408')
})

test('a body that ends after its request was answered with 408 calls no function', async () => {
  const { engine, worker } = await echo({ http: { defaultTimeoutMs: SHORT_MS } })
  await route(worker, { api_path: '/next' }, () => ({ body: 'next' }))
  const socket = connect(engine.httpPort ?? 0, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  let received = ''
  socket.on('data', (bytes) => {
    received += String(bytes)
  })
  socket.write(
    'POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a"',
  )
  await until('the answer', () => received.includes('BODY_LATE'))
  expect(received).toContain('HTTP/1.1 408')
  // The connection goes on; what comes next on it is served after the rest of the body.
  socket.write(':1234}GET /next HTTP/1.1\r\nHost: x\r\n\r\n')
  await until('the next answer', () => received.includes('"next"'))
  const called = worker.frames.filter((frame) => frame.type === 'invokefunction')
  expect(called).toMatchObject([{ function_id: 'test::GET/next' }])
})

test('a middleware that ends after its request was answered with 504 is followed by no other and by no function', async () => {
  const middleware = [
    { functionId: 'test::slow', priority: 1 },
    { functionId: 'test::second', priority: 2 },
  ]
  const engine = await engineForTest({ http: { defaultTimeoutMs: SHORT_MS, middleware } })
  const worker = await workerForTest(engine)
  const slow = Promise.withResolvers<unknown>()
  let asked = 0
  await worker.offer('test::slow', () => (++asked === 1 ? slow.promise : { action: 'continue' }))
  await worker.offer('test::second', () => ({ action: 'continue' }))
  await route(worker, { api_path: '/late' }, () => ({ body: 'late' }))
  await route(worker, { api_path: '/next' }, () => ({ body: 'next' }))
  expect((await fetch(`${engine.httpUrl}/late`)).status).toBe(504)
  slow.resolve({ action: 'continue' })
  expect(await (await fetch(`${engine.httpUrl}/next`)).json()).toBe('next')
  const called = worker.frames.filter((frame) => frame.type === 'invokefunction')
  expect(called.map((frame) => frame.function_id)).toEqual([
    'test::slow',
    'test::slow',
    'test::second',
    'test::GET/next',
  ])
})

test('what is no HTTP is a 400', async () => {
  const { engine } = await echo()
  const socket = connect(engine.httpPort ?? 0, '127.0.0.1')
  let received = ''
  socket.on('data', (bytes) => {
    received += String(bytes)
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write('HELLO\r\n\r\n')
  await closed
  expect(received).toContain('400')
})

test('global middleware runs before every route, lower priority first', async () => {
  const middleware = [
    { functionId: 'mw::second', priority: 2 },
    { functionId: 'mw::first', priority: 1 },
  ]
  const engine = await engineForTest({ http: { middleware } })
  const worker = await workerForTest(engine)
  const order: string[] = []
  for (const { functionId } of middleware) {
    await worker.offer(functionId, () => {
      order.push(functionId)
      return { action: 'continue' }
    })
  }
  await route(worker, { api_path: '/any' }, () => {
    order.push('handler')
    return { body: 1 }
  })
  expect((await fetch(`${engine.httpUrl}/any`)).status).toBe(200)
  expect(order).toEqual(['mw::first', 'mw::second', 'handler'])
})

test('colons within a segment, and names that are no words, are no syntax of the router', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  await route(worker, { api_path: '/a:b/:sku(.*)' }, ({ path_params }) => ({ body: path_params }))
  expect(await (await fetch(`${engine.httpUrl}/a:b/c`)).json()).toEqual({ 'sku(.*)': 'c' })
  expect((await fetch(`${engine.httpUrl}/axb/c`)).status).toBe(404)
})

test('a wildcard is refused, for it would answer what nobody registered', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  worker.send({
    type: 'registertrigger',
    id: 't',
    trigger_type: 'http',
    function_id: 'f',
    config: { api_path: '/files/*' },
  })
  const answer = await worker.next('the refusal', (frame) => frame.type === 'triggerregistrationresult')
  expect(answer.error).toMatchObject({ code: 'trigger_registration_failed' })
})

test('without CORS settings a page of another origin learns nothing; with them what they allow', async () => {
  const asked = async (
    cors: { allowedOrigins: string[]; allowedMethods: string[] } | undefined,
    method: string,
  ) => {
    const engine = await engineForTest({ http: { cors } })
    await route(await workerForTest(engine), { api_path: '/shop' }, () => ({ body: 1 }))
    const headers = { origin: 'https://shop.example.com' }
    const response = await fetch(`${engine.httpUrl}/shop`, { method, headers })
    const names = ['access-control-allow-origin', 'access-control-allow-methods']
    return [response.status, ...names.map((name) => response.headers.get(name))]
  }
  const shop = { allowedOrigins: ['https://shop.example.com'], allowedMethods: ['GET'] }
  const other = { allowedOrigins: ['https://other.example.com'], allowedMethods: [] }
  expect(await asked(undefined, 'GET')).toEqual([200, null, null])
  expect(await asked(undefined, 'OPTIONS')).toEqual([405, null, null])
  expect(await asked(shop, 'GET')).toEqual([200, 'https://shop.example.com', null])
  expect(await asked(shop, 'OPTIONS')).toEqual([200, 'https://shop.example.com', 'GET'])
  expect(await asked(other, 'GET')).toEqual([200, null, null])
  expect(await asked({ allowedOrigins: [], allowedMethods: [] }, 'OPTIONS')).toEqual([200, '*', '*'])
})

test('what a page of another site sends without being allowed to calls nothing', async () => {
  const called: unknown[] = []
  const sent = async (allowedOrigins: string[] | undefined, method: string, site: string) => {
    const cors = allowedOrigins && { allowedOrigins, allowedMethods: [] }
    const engine = await engineForTest({ http: { cors } })
    await route(await workerForTest(engine), { api_path: '/sell', http_method: method }, () =>
      called.push(method),
    )
    const headers = { origin: 'https://shop.example.com', 'sec-fetch-site': site }
    const response = await fetch(`${engine.httpUrl}/sell`, { method, headers })
    return response.status
  }
  expect(await sent(undefined, 'POST', 'cross-site')).toBe(403)
  expect(await sent(['https://other.example.com'], 'DELETE', 'cross-site')).toBe(403)
  expect(called).toEqual([])
  expect(await sent(['https://shop.example.com'], 'POST', 'cross-site')).toBe(200)
  expect(await sent([], 'POST', 'cross-site')).toBe(200)
  expect(await sent(undefined, 'POST', 'same-origin')).toBe(200)
  expect(await sent(undefined, 'GET', 'cross-site'), 'such as a link to it').toBe(200)
})

test('a header with more than visible ASCII reaches functions empty', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  await route(worker, { api_path: '/h' }, ({ headers }) => ({ body: headers }))
  const response = await fetch(`${engine.httpUrl}/h`, { headers: { 'x-latin': '\u00e9', 'x-plain': 'e' } })
  expect(await response.json()).toMatchObject({ 'x-latin': '', 'x-plain': 'e' })
})
