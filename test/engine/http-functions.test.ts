import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../support/until.ts'
import { engineForTest, workerForTest } from './start.ts'

/** A server that answers every request alike and remembers what it got. */
async function endpoint(status: number, answer: string) {
  const seen: { method: string | undefined; headers: IncomingHttpHeaders; body: string }[] = []
  const server = createServer(async (request, response) => {
    seen.push({ method: request.method, headers: request.headers, body: await text(request) })
    response.writeHead(status).end(answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, seen }
}

async function register(invocation: object, engineOptions = {}) {
  const engine = await engineForTest(engineOptions)
  const owner = await workerForTest(engine)
  owner.send({ type: 'registerfunction', id: 'remote::hook', invocation })
  await owner.settled()
  const caller = await workerForTest(engine)
  return { owner, call: (data: unknown) => caller.call('remote::hook', data) }
}

test('a function behind a URL gets the payload as JSON and answers with JSON', async () => {
  const { url, seen } = await endpoint(200, '{"ok":true}')
  const { call } = await register({ url, method: 'PUT', headers: { 'X-Shop': '7' } })
  expect(await call({ sku: 'A-1' })).toMatchObject({ result: { ok: true } })
  expect(seen).toMatchObject([
    { method: 'PUT', headers: { 'content-type': 'application/json', 'x-shop': '7' } },
  ])
  expect(JSON.parse(seen[0]?.body ?? '')).toMatchObject({ sku: 'A-1' })
})

test.each([
  [422, '{"error":{"code":"OUT_OF_STOCK","message":"none left"}}', 'OUT_OF_STOCK', 'none left'],
  [500, 'oops', 'http_error', 'HTTP 500'],
  [200, '<html>', 'invalid_response', 'The answer with status 200 is not JSON.'],
  [302, '', 'http_error', expect.stringMatching(/^HTTP 302\. Redirects are not followed/)],
  [308, '<html>moved</html>', 'http_error', expect.stringMatching(/^HTTP 308/)],
  [303, '{"ok":true}', 'http_error', expect.stringMatching(/^HTTP 303/)],
])('an answer with status %i and body %s fails the call', async (status, answer, code, message) => {
  const { url } = await endpoint(status, answer)
  const { call } = await register({ url })
  expect(await call({})).toMatchObject({ error: { code, message } })
})

test('an endpoint that cannot be reached fails the call and names its URL', async () => {
  const { call } = await register({ url: 'http://127.0.0.1:1/gone' })
  const { error } = await call({})
  expect(error).toMatchObject({ code: 'http_request_failed' })
  expect((error as { message: string }).message).toContain('http://127.0.0.1:1/gone')
})

test('a function behind a URL goes when the worker that registered it goes', async () => {
  const { url } = await endpoint(200, '')
  const { owner, call } = await register({ url })
  expect((await call({})).error).toBeUndefined()
  owner.terminate()
  await until(
    'the function to be gone',
    async () => ((await call({})).error as { code: string } | undefined)?.code === 'function_not_found',
  )
})

test('no URL is called for workers of other machines', async () => {
  const { url, seen } = await endpoint(200, '{}')
  const { call } = await register({ url }, { host: '0.0.0.0' })
  expect(await call({})).toMatchObject({ error: { code: 'url_validation_failed' } })
  expect(seen).toEqual([])
})

test('a registration with a URL of another kind is refused', async () => {
  const { owner, call } = await register({ url: 'file:///etc/passwd' })
  const refusal = await owner.next('the refusal', (frame) => frame.type === 'error')
  expect(refusal).toMatchObject({ error: { code: 'invalid_frame' } })
  expect(await call({})).toMatchObject({ error: { code: 'function_not_found' } })
})
