import { randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { OPERATIONS } from '../../src/operator/operations.ts'
import { connect } from '../support/connect.ts'
import { runProgram } from '../support/program.ts'
import { failureOf } from '../support/sdk-worker.ts'
import { newSite, onEachEngine, startPart, startSystem } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'

const tokenIn = (data: string, file: string) => readFileSync(join(data, file), 'utf8').trim()

/** Each operation with a path and a body that it could take. */
const requests = OPERATIONS.map(({ id, http, scope }) => {
  const [method = 'GET', path = ''] = http.split(' ')
  return {
    id,
    scope,
    method,
    path: path.replaceAll(/:\w+/g, 'x'),
    body: method === 'POST' ? '{}' : undefined,
  }
})

onEachEngine((newSiteOn) => {
  test('every operation asks for its token, over HTTP and over the socket, and tokens stay secret', async () => {
    const site = await newSiteOn({ CQRS_LOG_LEVEL: 'trace', CQRS_OPS_FAILURES_PER_MINUTE: '10000' })
    const up = await startSystem(site)
    const token = tokenIn(site.data, 'ops.token')
    const readToken = tokenIn(site.data, 'ops-read.token')
    for (const file of ['ops.token', 'ops-read.token']) {
      expect(statSync(join(site.data, file)).mode & 0o777).toBe(0o600)
    }
    // Code is run from there.
    expect(statSync(join(site.data, 'compiled')).mode & 0o777).toBe(0o700)
    const send = ({ method, path, body }: (typeof requests)[number], given?: string, query = '') =>
      fetch(site.http + path + query, {
        method,
        ...(body === undefined ? {} : { body }),
        headers: { 'content-type': 'application/json', ...(given && { authorization: `Bearer ${given}` }) },
      })

    for (const request of requests) {
      const refusals = [
        await send(request),
        await send(request, 'x'.repeat(43)),
        await send(request, undefined, `?token=${token}`),
      ]
      expect([request.id, ...refusals.map(({ status }) => status)]).toEqual([request.id, 401, 401, 401])
      for (const [name, value] of [
        ['www-authenticate', 'Bearer realm="operators"'],
        ['cache-control', 'no-store'],
        ['x-content-type-options', 'nosniff'],
        ['x-frame-options', 'DENY'],
        ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
        ['access-control-allow-origin', null],
      ] as const) {
        expect([request.id, name, refusals[0]?.headers.get(name)]).toEqual([request.id, name, value])
      }
      const looked = await send(request, readToken)
      expect([request.id, looked.status === 403]).toEqual([request.id, request.scope === 'change'])
      expect([request.id, [401, 403].includes((await send(request, token)).status)]).toEqual([
        request.id,
        false,
      ])
    }

    const worker = connect(site.engine)
    const call = (function_id: string, metadata?: object) =>
      failureOf(worker.trigger({ function_id, payload: {}, ...(metadata && { metadata }), timeoutMs: 5_000 }))
    const { functions } = await worker.trigger<object, { functions: { function_id: string }[] }>({
      function_id: 'engine::functions::list',
      payload: { prefix: 'ops::' },
    })
    expect(functions.length).toBeGreaterThan(OPERATIONS.length)
    for (const { function_id } of functions) {
      expect([function_id, (await call(function_id))?.message]).toEqual([
        function_id,
        expect.stringContaining('CQRS_UNAUTHORIZED: '),
      ])
    }
    expect((await call('ops::dlq-redrive', { token: readToken }))?.message).toContain('CQRS_FORBIDDEN: ')
    expect(await call('ops::status', { token: readToken })).toBeUndefined()

    const elsewhere = { III_URL: site.engine, CQRS_DATA: join(tempFolder(), 'none') }
    const refused = await runProgram(['status'], tempFolder(), elsewhere)
    expect(refused.stderr).toContain('CQRS_UNAUTHORIZED: This needs the operator token')
    const given = await runProgram(['status'], tempFolder(), { ...elsewhere, CQRS_OPS_TOKEN: token })
    expect(given.stdout).toContain('inventory-list')
    const wrong = { ...elsewhere, CQRS_OPS_TOKEN: randomBytes(32).toString('hex') }
    expect((await runProgram(['status'], tempFolder(), wrong)).exitCode).toBe(1)

    await up.end('SIGTERM')
    expect(up.output).toContain('an operation was refused')
    expect(up.output.includes(token) || up.output.includes(readToken)).toBe(false)
  })

  test('who shows no token is told so, whatever is wrong with the request besides', async () => {
    const site = await newSiteOn({ CQRS_OPS_FAILURES_PER_MINUTE: '10000' })
    await startPart(site, 'engine')
    await startPart(site, 'operator')
    const post = async (given?: string) => {
      const headers = { 'content-type': 'text/plain', ...(given && { authorization: `Bearer ${given}` }) }
      const { status } = await fetch(`${site.http}/ops/letters/discard`, {
        method: 'POST',
        body: 'all',
        headers,
      })
      return status
    }
    expect(await post()).toBe(401)
    expect(await post('x'.repeat(43))).toBe(401)
    expect(await post(tokenIn(site.data, 'ops-read.token'))).toBe(403)
    expect(await post(tokenIn(site.data, 'ops.token'))).toBe(400)
  })

  test('a token that is sent as anything but a token is neither recorded nor logged', async () => {
    const site = await newSiteOn({ CQRS_LOG_LEVEL: 'trace' })
    await startPart(site, 'engine')
    const operator = await startPart(site, 'operator')
    const token = tokenIn(site.data, 'ops.token')
    const readToken = tokenIn(site.data, 'ops-read.token')
    const discard = await fetch(`${site.http}/ops/letters/discard`, {
      method: 'POST',
      body: JSON.stringify({ error: 'no shelf', reason: `Bearer ${token}`, [readToken]: [{ token }] }),
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'user-agent': readToken,
        'x-operator': token,
      },
    })
    expect(discard.status).toBe(400)
    expect(await discard.text()).not.toContain(readToken)
    const pause = await fetch(`${site.http}/ops/projections/${readToken}/pause`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    })
    expect(pause.status).toBe(404)
    const list = await fetch(`${site.http}/ops/actions`, { headers: { authorization: `Bearer ${token}` } })
    const text = await list.text()
    expect(JSON.parse(text).actions).toMatchObject([
      { operation: 'ops::pause', input: { projection: '[secret]' }, outcome: 'failed' },
      {
        operation: 'ops::dlq-discard',
        by: '[secret]',
        from: 'http with [secret]',
        input: { error: 'no shelf', reason: 'Bearer [secret]', '[secret]': [{ token: '[secret]' }] },
      },
    ])
    for (const secret of [token, readToken]) {
      expect(text).not.toContain(secret)
      expect(operator.output).not.toContain(secret)
    }
  })

  test('too many wrong tokens are told to wait, and the right one is taken meanwhile', async () => {
    const site = await newSiteOn({ CQRS_OPS_FAILURES_PER_MINUTE: '3' })
    await startPart(site, 'engine')
    await startPart(site, 'operator')
    const ask = (token: string) =>
      fetch(`${site.http}/ops/status`, { headers: { authorization: `Bearer ${token}` } })
    const answers = []
    for (let n = 0; n < 5; n += 1) answers.push(await ask('x'.repeat(43)))
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 429, 429])
    expect(Number(answers.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await answers.at(-1)?.json()).toMatchObject({ error: { code: 'CQRS_TOO_MANY_FAILURES' } })
    for (const file of ['ops.token', 'ops-read.token']) {
      expect((await ask(tokenIn(site.data, file))).status).toBe(200)
    }
  })
})

test('an engine that is open to others asks workers for the secret, and tells one without it what to do', async () => {
  const site = await newSite({ III_HOST: '0.0.0.0' })
  const up = await startSystem(site)
  expect(up.output).toContain('so it asks workers for a secret')
  const secret = tokenIn(site.data, 'worker.secret')
  const { CQRS_DATA: _, ...settings } = site.env
  const elsewhere = {
    ...settings,
    III_HOST: '127.0.0.1',
    III_URL: site.engine,
    CQRS_OPS_TOKEN: tokenIn(site.data, 'ops.token'),
  }
  const refused = await runProgram(['status'], tempFolder(), elsewhere)
  expect(refused.stderr).toContain('CQRS_UNAUTHORIZED: The engine refuses this worker')
  expect(refused.stderr).toContain('Set CQRS_WORKER_SECRET')
  const shown = await runProgram(['status'], tempFolder(), { ...elsewhere, CQRS_WORKER_SECRET: secret })
  expect(shown.stdout).toContain('inventory-list')
  expect(up.output).toContain('a worker without the right secret was refused')
  await up.end('SIGTERM')
  expect(up.output.includes(secret)).toBe(false)
})
