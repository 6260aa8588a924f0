import type { IIIClient } from 'iii-sdk'
import { describe, expect, test } from 'vitest'
import type { EngineUnderTest } from '../../support/engines.ts'
import { RawWorker } from '../../support/raw-worker.ts'
import { functionKnown, sdkWorker } from '../../support/sdk-worker.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

/** What a function sees of a request, apart from the channels of the real engine. */
interface Seen {
  readonly query_params: Record<string, string>
  readonly path_params: Record<string, string>
  readonly headers: Record<string, string>
  readonly path: string
  readonly method: string
  readonly body: unknown
  readonly trigger: unknown
}

const JSON_TYPE = { 'content-type': 'application/json' }

/** HTTP routes. */
export function http(engine: () => EngineUnderTest): void {
  describe('http', () => {
    test('a function sees the request and its answer is the response', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      let seen: Seen | undefined
      await serve(
        worker,
        engine(),
        { api_path: `${base}/:sku/sell`, http_method: 'POST' },
        async (request) => {
          seen = request
          return { status_code: 201, headers: { 'x-answer': 'yes' }, body: { ok: true } }
        },
      )
      const response = await fetch(`${engine().httpUrl}${base}/A-1/sell?after=7&tag=a%20b&empty`, {
        method: 'POST',
        headers: { ...JSON_TYPE, 'X-Trace': 'T1' },
        body: '{"quantity":2,"nested":{"list":[1,null]}}',
      })
      expect(response.status).toBe(201)
      expect(response.headers.get('x-answer')).toBe('yes')
      expect(response.headers.get('content-type')).toBe('application/json')
      expect(await response.json()).toEqual({ ok: true })
      const path = `${base}/:sku/sell`
      expect(seen).toMatchObject({
        query_params: { after: '7', tag: 'a b', empty: '' },
        path_params: { sku: 'A-1' },
        path,
        method: 'POST',
        body: { quantity: 2, nested: { list: [1, null] } },
        trigger: { type: 'http', path, method: 'POST' },
      })
      expect(seen?.headers).toMatchObject({ 'content-type': 'application/json', 'x-trace': 'T1' })
    })

    test('path parameters keep their percent-encoding, so that a slash in one stays one', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      await serve(worker, engine(), { api_path: `${base}/:sku` }, async ({ path_params }) => ({
        body: path_params,
      }))
      const sku = encodeURIComponent('a/b ü ?')
      expect(await json(await fetch(`${engine().httpUrl}${base}/${sku}`))).toEqual({ sku })
      const long = 'k'.repeat(10_000)
      expect(await json(await fetch(`${engine().httpUrl}${base}/${long}`))).toEqual({ sku: long })
    })

    test('a fixed path wins over a parameter, and only the exact path matches', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      await serve(worker, engine(), { api_path: `${base}/:sku` }, async () => ({ body: 'any' }))
      await serve(worker, engine(), { api_path: `${base}/stats` }, async () => ({ body: 'stats' }))
      const get = (path: string) => fetch(`${engine().httpUrl}${base}${path}`)
      expect(await json(await get('/stats'))).toBe('stats')
      expect(await json(await get('/other'))).toBe('any')
      for (const path of ['', '/', '/other/', '/other/more']) expect((await get(path)).status).toBe(404)
    })

    test('a path without a leading slash, and a method in lower case, are served as well', async () => {
      const worker = await sdkWorker(engine().url)
      const path = unique('http')
      await serve(worker, engine(), { api_path: path, http_method: 'put' }, async (request) => ({
        body: request.path,
      }))
      expect(await json(await fetch(`${engine().httpUrl}/${path}`, { method: 'PUT' }))).toBe(path)
    })

    test('an unknown route is a 404 with code NOT_FOUND, a known one with another method a 405', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      await serve(worker, engine(), { api_path: base, http_method: 'POST' }, async () => ({}))
      const unknown = await fetch(`${engine().httpUrl}/${unique('nowhere')}`)
      expect(unknown.status).toBe(404)
      expect(await unknown.json()).toMatchObject({ error: { code: 'NOT_FOUND' } })
      const wrong = await fetch(`${engine().httpUrl}${base}`)
      expect(wrong.status).toBe(405)
      expect(wrong.headers.get('allow')).toContain('POST')
    })

    test('what is no JSON, and an empty body, reach the function as null', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      await serve(worker, engine(), { api_path: base, http_method: 'POST' }, async ({ body }) => ({
        body: { got: body },
      }))
      const post = async (body: string, headers: Record<string, string>) =>
        json(await fetch(`${engine().httpUrl}${base}`, { method: 'POST', body, headers }))
      expect(await post('plain', { 'content-type': 'text/plain' })).toEqual({ got: null })
      expect(await post('', JSON_TYPE)).toEqual({ got: null })
      expect(await post('[1]', { 'content-type': 'application/json; charset=utf-8' })).toEqual({ got: [1] })
    })

    test('status, headers and body fall back to 200, none and {}', async () => {
      const worker = await sdkWorker(engine().url)
      const cases: [unknown, number, string, string][] = [
        ['just text', 200, '{}', 'application/json'],
        [{ status_code: 418 }, 418, '{}', 'application/json'],
        [{ status_code: 42, body: 1 }, 200, '1', 'application/json'],
        [{ status_code: '404', body: 1 }, 200, '1', 'application/json'],
        [{ body: 'text' }, 200, '"text"', 'application/json'],
        [{ body: 'text', headers: { 'Content-Type': 'text/plain' } }, 200, 'text', 'text/plain'],
        [{ body: { a: 1 }, headers: ['content-type: text/html', 'x-a: 1'] }, 200, '{"a":1}', 'text/html'],
        [{ body: 1, headers: { 'bad name': 'x', 'x-number': 7 } }, 200, '1', 'application/json'],
      ]
      const base = `/${unique('http')}`
      await serve(
        worker,
        engine(),
        { api_path: `${base}/:n` },
        async ({ path_params }) => cases[Number(path_params.n)]?.[0],
      )
      for (const [n, [, status, text, type]] of cases.entries()) {
        const response = await fetch(`${engine().httpUrl}${base}/${n}`)
        expect([response.status, await response.text(), response.headers.get('content-type')]).toEqual([
          status,
          text,
          type,
        ])
      }
    })

    test('a handler that throws is a 500 with code and message and without its stack', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      await serve(worker, engine(), { api_path: base }, async () => {
        throw new Error('the shelf collapsed')
      })
      const response = await fetch(`${engine().httpUrl}${base}`)
      expect(response.status).toBe(500)
      const text = await response.text()
      expect(JSON.parse(text)).toEqual({
        error: { code: 'invocation_failed', message: 'the shelf collapsed', error_id: expect.any(String) },
      })
      expect(text).not.toContain('at ')
    })

    test('a route whose function nobody has, or whose worker dies meanwhile, is a 500 that says so', async () => {
      const [worker, mortal] = await Promise.all([sdkWorker(engine().url), RawWorker.connect(engine().url)])
      const [base, missing, hanging] = [
        `/${unique('http')}`,
        unique('http::missing'),
        unique('http::hanging'),
      ]
      worker.registerTrigger({ type: 'http', function_id: missing, config: { api_path: `${base}/missing` } })
      worker.registerTrigger({ type: 'http', function_id: hanging, config: { api_path: `${base}/hanging` } })
      await mortal.offer(hanging, () => new Promise(() => {}))
      const answer = async (path: string) => {
        const response = await fetch(`${engine().httpUrl}${base}${path}`)
        return [response.status, ((await response.json()) as { error: { code: string } }).error.code]
      }
      await until('the routes', async () => (await answer('/missing'))[0] === 500)
      expect(await answer('/missing')).toEqual([500, 'function_not_found'])
      const dying = answer('/hanging')
      await mortal.next('the request', (frame) => frame.function_id === hanging)
      mortal.terminate()
      expect(await dying).toEqual([500, 'invocation_stopped'])
    })

    test('a function that does not answer in time is a 504', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      await serve(worker, engine(), { api_path: `${base}/:kind` }, ({ path_params }) =>
        path_params.kind === 'hang' ? new Promise(() => {}) : Promise.resolve(undefined),
      )
      const statuses = ['hang', 'nothing'].map(
        async (kind) => (await fetch(`${engine().httpUrl}${base}/${kind}`)).status,
      )
      expect(await Promise.all(statuses)).toEqual([504, 504])
    })

    test('a condition sees the request; only false stops it, with 422', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      const condition = unique('http::condition')
      worker.registerFunction(condition, async ({ query_params }: Seen) =>
        JSON.parse(query_params.say ?? 'true'),
      )
      await functionKnown(worker, condition)
      await serve(worker, engine(), { api_path: base, condition_function_id: condition }, async () => ({
        body: 'ran',
      }))
      const get = async (say: string) => {
        const response = await fetch(`${engine().httpUrl}${base}?say=${say}`)
        return [response.status, await response.json()]
      }
      expect(await get('true')).toEqual([200, 'ran'])
      expect(await get('0')).toEqual([200, 'ran'])
      expect(await get('null')).toEqual([200, 'ran'])
      expect(await get('false')).toMatchObject([422, { error: { code: 'CONDITION_NOT_MET' }, skipped: true }])
    })

    test('a condition or a middleware that fails stops the request with 500', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      const missing = unique('http::missing')
      await serve(
        worker,
        engine(),
        { api_path: `${base}/c`, condition_function_id: missing },
        async () => ({ body: 1 }),
        500,
      )
      await serve(
        worker,
        engine(),
        { api_path: `${base}/m`, middleware_function_ids: [missing] },
        async () => ({ body: 1 }),
        500,
      )
    })

    test('middleware runs in order, and the first that responds ends the request', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      const [first, guard] = [unique('http::first'), unique('http::guard')]
      const seen: unknown[] = []
      worker.registerFunction(first, async (input: { request: { path_params: unknown } }) => {
        seen.push(input)
        return { action: 'continue' }
      })
      worker.registerFunction(guard, async (input: { request: { headers: Record<string, string> } }) =>
        input.request.headers.authorization === undefined
          ? {
              action: 'respond',
              response: { status_code: 401, body: { no: 1 }, headers: { 'x-guard': 'yes' } },
            }
          : { action: 'anything else lets it pass' },
      )
      await functionKnown(worker, guard)
      const config = { api_path: `${base}/:id`, middleware_function_ids: [first, guard] }
      await serve(worker, engine(), config, async () => ({ body: 'in' }), 401)
      seen.length = 0
      const refused = await fetch(`${engine().httpUrl}${base}/7`)
      expect([refused.status, refused.headers.get('x-guard'), await refused.json()]).toEqual([
        401,
        'yes',
        { no: 1 },
      ])
      expect(seen).toMatchObject([
        { phase: 'preHandler', request: { path_params: { id: '7' }, method: 'GET' }, context: {} },
      ])
      const passed = await fetch(`${engine().httpUrl}${base}/7`, { headers: { authorization: 'me' } })
      expect([passed.status, await passed.json()]).toEqual([200, 'in'])
    })

    test('the metadata of the trigger reaches the handler', async () => {
      const worker = await sdkWorker(engine().url)
      const [base, id] = [`/${unique('http')}`, unique('http::meta')]
      worker.registerFunction(id, async (_request: Seen, metadata?: unknown) => ({ body: { metadata } }))
      worker.registerTrigger({
        type: 'http',
        function_id: id,
        config: { api_path: base },
        metadata: { shop: 3 },
      })
      await reachable(engine(), base)
      expect(await json(await fetch(`${engine().httpUrl}${base}`))).toEqual({ metadata: { shop: 3 } })
    })

    test('routes come and go with their triggers and their workers', async () => {
      const [keeper, leaver] = await Promise.all([sdkWorker(engine().url), sdkWorker(engine().url)])
      const base = `/${unique('http')}`
      const status = async (path: string) => (await fetch(`${engine().httpUrl}${base}${path}`)).status
      const trigger = await serve(keeper, engine(), { api_path: `${base}/a` }, async () => ({}))
      await serve(leaver, engine(), { api_path: `${base}/b` }, async () => ({}))
      trigger.unregister()
      await until('the route to end with its trigger', async () => (await status('/a')) === 404)
      expect(await status('/b')).toBe(200)
      await leaver.shutdown()
      await until('the route to end with its worker', async () => (await status('/b')) === 404)
    })

    test('a route that differs from another in the names of its parameters only, or has no path, is refused', async () => {
      const [worker, other] = await Promise.all([sdkWorker(engine().url), RawWorker.connect(engine().url)])
      const base = `/${unique('http')}`
      await serve(worker, engine(), { api_path: `${base}/:id` }, async () => ({}))
      for (const config of [{ api_path: `${base}/:name` }, { http_method: 'GET' }]) {
        const id = unique('trigger')
        other.send({ type: 'registertrigger', id, trigger_type: 'http', function_id: 'any::f', config })
        const answer = await other.next('the refusal', (frame) => frame.id === id)
        expect(answer).toMatchObject({
          type: 'triggerregistrationresult',
          trigger_type: 'http',
          error: { code: 'trigger_registration_failed' },
        })
      }
      other.terminate()
    })

    test('of repeated headers and query parameters the last one counts', async () => {
      const worker = await sdkWorker(engine().url)
      const base = `/${unique('http')}`
      await serve(worker, engine(), { api_path: base }, async ({ query_params }) => ({ body: query_params }))
      expect(await json(await fetch(`${engine().httpUrl}${base}?a=1&a=2&b=%zz`))).toEqual({
        a: '2',
        b: '%zz',
      })
    })
  })
}

/** Registers a route with its function and waits until it answers with `status`. */
async function serve(
  worker: IIIClient,
  engine: EngineUnderTest,
  config: {
    api_path: string
    http_method?: string
    condition_function_id?: string
    middleware_function_ids?: string[]
  },
  handler: (request: Seen) => Promise<unknown>,
  status?: number,
) {
  const id = unique('http::handler')
  worker.registerFunction(id, handler)
  await functionKnown(worker, id)
  const trigger = worker.registerTrigger({ type: 'http', function_id: id, config })
  if (status === undefined) await routeKnown(worker, id)
  else
    await until(
      'the route',
      async () => (await fetch(`${engine.httpUrl}${exampleOf(config.api_path)}`)).status === status,
    )
  return trigger
}

async function routeKnown(worker: IIIClient, functionId: string): Promise<void> {
  await until(`the route of ${functionId}`, async () => {
    const { registered_triggers } = await worker.trigger({
      function_id: 'engine::registered-triggers::list',
      payload: { function_id: functionId },
    })
    return registered_triggers.length === 1
  })
}

async function reachable(engine: EngineUnderTest, path: string): Promise<void> {
  await until(`the route ${path}`, async () => (await fetch(`${engine.httpUrl}${path}`)).status === 200)
}

function exampleOf(path: string): string {
  return path.replace(/:\w+/g, 'x')
}

async function json(response: Response): Promise<unknown> {
  return response.json()
}
