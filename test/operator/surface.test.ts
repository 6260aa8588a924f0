import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TriggerAction } from 'iii-sdk'
import { expect, test, vi } from 'vitest'
import type { Letter, LetterGroup } from '../../src/operator/contract.ts'
import type { ProjectionsList } from '../../src/operator/generations-contract.ts'
import { connect } from '../support/connect.ts'
import { runProgram } from '../support/program.ts'
import { onEachEngine, type Site, startSystem } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 150_000 })

/** The parts of answers that are looked into. */
interface Body {
  readonly actions: readonly Readonly<Record<string, unknown>>[]
}

/** Speaks to `/ops` of a site with the operator's token. */
function operator(site: Site) {
  const token = readFileSync(join(site.data, 'ops.token'), 'utf8').trim()
  const ask = async (method: 'GET' | 'POST', path: string, body?: object) => {
    const response = await fetch(site.http + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'x-operator': 'ada' },
      ...(body && { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: (await response.json()) as Body }
  }
  const cli = (...args: string[]) => runProgram(args, tempFolder(), { ...site.env, III_URL: site.engine })
  return {
    token,
    get: (path: string) => ask('GET', path),
    post: (path: string, body: object = {}) => ask('POST', path, body),
    cli,
  }
}

/** Every command that prints something for a program: those that change nothing, and others in an order. */
const LOOKS = [
  ['status', '--json'],
  ['workers', '--json'],
  ['actions', '--json'],
  ['queues', 'list', '--json'],
  ['queues', 'show', 'default', '--json'],
  ['dlq', 'list', '--json'],
  ['dlq', 'groups', '--json'],
  ['dlq', 'redrive', '--json', '--all', '--dry-run'],
  ['events', 'tail', '--json'],
  ['events', 'show', '1', '--json'],
  ['projections', '--json'],
  ['projections', 'list', '--json'],
  ['projections', '--json', 'list'],
  ['projections', 'show', 'inventory-list', '--json'],
  ['audit', '--json'],
  ['doctor', '--json'],
]
const CHANGES = [
  ['projections', 'pause', 'inventory-list', '--json'],
  ['projections', 'resume', 'inventory-list', '--json'],
  ['rebuild', 'inventory-list', '--json'],
  ['rollback', 'inventory-list', '--json'],
  ['prune', 'inventory-list', '--json'],
  ['verify', 'inventory-list', '--json'],
]

onEachEngine((newSite) => {
  test('an operator pauses, looks at, purges and resumes a queue, and it is recorded', async () => {
    const site = await newSite()
    const up = await startSystem(site)
    const { get, post, cli } = operator(site)
    const worker = connect(site.engine)
    const ran: unknown[] = []
    worker.registerFunction('test::job', async (payload: unknown) => void ran.push(payload))
    expect(await post('/ops/queues/default/pause')).toMatchObject({ status: 200, body: { paused: true } })
    const enqueue = (n: number) =>
      worker.trigger({
        function_id: 'test::job',
        payload: { n },
        action: TriggerAction.Enqueue({ queue: 'default' }),
      })
    for (let n = 1; n <= 3; n += 1) await enqueue(n)
    expect((await get('/ops/queues/default')).body).toMatchObject({
      queue: 'default',
      depth: 3,
      paused: true,
    })
    expect((await get('/ops/queues?limit=1')).body).toMatchObject({
      queues: [{ queue: 'default' }],
      next: 'default',
    })
    expect((await cli('queues', 'list')).stdout).toMatch(/default +paused +3 /)
    const unconfirmed = await post('/ops/queues/default/purge', { confirm: 'other' })
    expect(unconfirmed).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('the 3 messages') } },
    })
    expect((await cli('queues', 'purge', 'default', '--confirm', 'default')).stdout).toBe(
      '3 messages deleted.\n',
    )
    expect((await cli('queues', 'resume', 'default', '--json')).stdout).toContain('"paused": false')
    await enqueue(4)
    await until('the queue delivers again', () => ran.length > 0)
    expect(ran).toMatchObject([{ n: 4 }])

    await post('/ops/queues/default/pause')
    await enqueue(5)
    expect(await post('/ops/queues/default/purge', { confirm: 'default' })).toMatchObject({
      status: 200,
      body: { queue: 'default', purged: 1 },
    })
    expect(await post('/ops/queues/default/resume')).toMatchObject({
      status: 200,
      body: { queue: 'default', paused: false, depth: 0 },
    })
    await enqueue(6)
    await until('the queue delivers once more', () => ran.length > 1)
    expect(ran).toMatchObject([{ n: 4 }, { n: 6 }])
    expect(await get('/ops/queues/nothing')).toMatchObject({
      status: 404,
      body: { error: { code: 'CQRS_NOT_FOUND' } },
    })

    const { actions } = (await get('/ops/actions')).body
    expect(actions.map(({ operation, outcome }) => `${operation} ${outcome}`)).toEqual([
      'ops::queue-resume done',
      'ops::queue-purge done',
      'ops::queue-pause done',
      'ops::queue-resume done',
      'ops::queue-purge done',
      'ops::queue-purge failed',
      'ops::queue-pause done',
    ])
    expect(actions[4]).toMatchObject({
      from: expect.stringMatching(/^cli on /),
      result: { queue: 'default', purged: 3 },
    })
    expect(actions[6]).toMatchObject({
      by: 'ada',
      from: expect.stringMatching(/^http with /),
      input: { queue: 'default' },
    })
    expect((await cli('actions')).stdout).toContain('ops::queue-purge')
    await up.end('SIGTERM')
  })

  test('a view is paused, built, looked into, verified, rolled back and tidied up over HTTP', async () => {
    const site = await newSite()
    const up = await startSystem(site)
    const { get, post } = operator(site)
    await fetch(`${site.http}/inventory`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sku: 'mug-1', name: 'Mug', priceCents: 100, quantity: 1 }),
    })
    const view = '/ops/projections/inventory-list'
    const generations = async () => {
      const { projections } = (await get(view)).body as unknown as ProjectionsList
      return projections.flatMap((one) => one.generations)
    }
    const states = async () => {
      return Object.fromEntries((await generations()).map(({ generation, state }) => [generation, state]))
    }
    expect(await post(`${view}/pause`)).toMatchObject({ status: 200 })
    expect((await get('/ops/projections')).body).toMatchObject({
      projections: expect.arrayContaining([
        expect.objectContaining({ name: 'inventory-list', paused: true }),
      ]),
    })
    expect(await post(`${view}/rebuild`)).toMatchObject({ status: 200, body: { generation: 2 } })
    expect(await post(`${view}/cancel`)).toMatchObject({
      status: 200,
      body: { generations: [{ generation: 2 }] },
    })
    expect(await post(`${view}/resume`)).toMatchObject({ status: 200 })
    expect(await post(`${view}/rebuild`)).toMatchObject({ status: 200, body: { generation: 3 } })
    await until('it serves', async () => (await states())[3] === 'active', 60_000)
    const third = (await generations()).find(({ generation }) => generation === 3)
    expect(third).toMatchObject({ report: { kind: 'compared' }, verdict: 'same' })
    expect(await get(`${view}/documents?key=mug-1`)).toMatchObject({ status: 200 })
    expect(await post(`${view}/audit`)).toMatchObject({ status: 200 })
    expect(await post(`${view}/verify`)).toMatchObject({ status: 200 })
    expect(await post(`${view}/rollback`)).toMatchObject({ status: 200 })
    await until('the first one serves again', async () => (await states())[1] === 'active', 60_000)
    // Not before the one that serves has taken over what it had not sent.
    const prune = () => post('/ops/prune', { projection: 'inventory-list', generation: 3 })
    await until('the other one can go', async () => (await prune()).status === 200)
    await until('it is gone', async () => !['active', 'previous'].includes((await states())[3] ?? 'gone'))
    await up.end('SIGTERM')
  })

  test('what failed is looked at, tried again and given up over HTTP, as a filter says', async () => {
    const site = await newSite({ CQRS_QUEUE_MAX_RETRIES: '1', CQRS_QUEUE_BACKOFF_MS: '10' })
    const up = await startSystem(site)
    const { get, post } = operator(site)
    const worker = connect(site.engine)
    const ran: unknown[] = []
    let isMended = false
    worker.registerFunction('test::mended', async (payload: unknown) => {
      if (!isMended) throw new Error('no paper')
      ran.push(payload)
    })
    worker.registerFunction('test::wrong', () => Promise.reject(new Error('no such address')))
    const action = TriggerAction.Enqueue({ queue: 'default' })
    for (const [function_id, n] of [
      ['test::mended', 1],
      ['test::mended', 2],
      ['test::wrong', 3],
    ] as const) {
      await worker.trigger({ function_id, payload: { n }, action })
    }
    const letters = async (query = '') => {
      const { body } = await get(`/ops/letters${query}`)
      return (body as unknown as { letters: Letter[] }).letters
    }
    await until('all of them are dead', async () => (await letters('?status=dead')).length === 3)
    const [wrong, ...others] = await letters(`?what=${encodeURIComponent('test::wrong')}`)
    expect([wrong?.error, others]).toEqual([expect.stringContaining('no such address'), []])
    expect(await get(`/ops/letters/${encodeURIComponent(String(wrong?.id))}`)).toMatchObject({
      status: 200,
      body: { id: wrong?.id, attempts: 1 },
    })
    const { body: grouped } = await get('/ops/letter-groups')
    const { groups } = grouped as unknown as { groups: LetterGroup[] }
    expect(groups.map(({ count }) => count).toSorted()).toEqual([1, 2])

    isMended = true
    const { fingerprint } = groups.find(({ count }) => count === 2) as LetterGroup
    const redriven = await post('/ops/letters/redrive', { fingerprint })
    expect(redriven).toMatchObject({ status: 200, body: { redriven: 2 } })
    await until('they have run', () => ran.length === 2)
    const discard = { error: 'no such address', reason: 'nobody lives there' }
    expect(await post('/ops/letters/discard', { ...discard, dryRun: true })).toMatchObject({
      status: 200,
      body: { discarded: 0, examples: [{ id: wrong?.id }] },
    })
    expect(await post('/ops/letters/discard', discard)).toMatchObject({ status: 200, body: { discarded: 1 } })
    expect(await letters()).toEqual([])
    expect((await get('/ops/actions')).body.actions).toMatchObject([
      { operation: 'ops::dlq-discard', outcome: 'done', by: 'ada', input: discard },
      { operation: 'ops::dlq-redrive', outcome: 'done', by: 'ada', input: { fingerprint } },
    ])
    expect((await get('/ops/status')).status).toBe(200)
    expect((await get('/ops/workers')).status).toBe(200)
    await up.end('SIGTERM')
  })

  test('a log is exported over HTTP and by the program, byte by byte alike, and imported while the system is stopped', async () => {
    const site = await newSite()
    const up = await startSystem(site)
    const { get, cli, token } = operator(site)
    for (let n = 1; n <= 30; n += 1) {
      const body = JSON.stringify({ sku: `mug-${n}`, name: 'M\u2028g', priceCents: 100, quantity: n })
      await fetch(`${site.http}/inventory`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
    }
    const stored = await connect(site.engine).trigger({
      function_id: 'ops::event',
      payload: { position: 7 },
      metadata: { token, answer: 'text' },
    })
    expect(stored).toMatch(/^{"position":7,"id":".*"data":{"sku":"mug-7","name":"M\u2028g",/)
    expect((await get('/ops/events/7')).body).toMatchObject({ position: 7, data: { sku: 'mug-7' } })
    expect((await get('/ops/events/31')).status).toBe(404)
    expect((await get('/ops/events?types=no-such-type&limit=5')).body).toMatchObject({ events: [], next: 30 })

    const file = join(tempFolder(), 'events.ndjson')
    expect(await cli('events', 'export', file)).toMatchObject({
      stdout: '',
      stderr: `30 events exported to ${file}.\n`,
    })
    const exported = readFileSync(file, 'utf8')
    writeFileSync(file, 'another export')
    expect(await cli('events', 'export', file)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^CQRS_VALIDATION: .*exists already.*--overwrite/),
    })
    expect(readFileSync(file, 'utf8')).toBe('another export')
    expect(await cli('events', 'export', '--overwrite', file)).toMatchObject({ exitCode: 0 })
    expect(readFileSync(file, 'utf8')).toBe(exported)
    const download = await fetch(`${site.http}/ops/events/export`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect([
      download.status,
      download.headers.get('content-type'),
      download.headers.get('cache-control'),
    ]).toEqual([200, 'application/x-ndjson', 'no-store'])
    expect(await download.text()).toBe(exported)
    expect((await cli('events', 'export', '--from', '29', '-')).stdout.split('\n')).toHaveLength(5)
    expect((await get('/ops/events/export?from=99')).status).toBe(400)
    expect((await fetch(`${site.http}/ops/events/export`)).status).toBe(401)

    const running = await cli('events', 'import', file)
    expect(running).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('Stop the system, import') })
    await up.end('SIGTERM')

    const other = await newSite()
    const imported = await runProgram(['events', 'import', file], tempFolder(), other.env)
    expect(imported.stdout).toBe('30 events imported; the log ends at 30 now.\n')
    const again = await runProgram(['events', 'import', file], tempFolder(), other.env)
    expect(again.stderr).toContain('If it was imported already there is nothing to do')
    const missing = await runProgram(['events', 'import', '/nowhere'], tempFolder(), other.env)
    expect(missing.stderr).toContain('CQRS_IMPORT_INVALID: /nowhere cannot be read')
    const second = await startSystem(other)
    const list = await fetch(`${other.http}/inventory/mug-30?after=30`)
    expect(await list.json()).toMatchObject({ sku: 'mug-30', stock: 30 })
    const { actions } = (await operator(other).get('/ops/actions')).body
    expect(actions).toMatchObject([
      { operation: 'events import', outcome: 'failed' },
      { operation: 'events import', outcome: 'done', result: { imported: 30, head: 30 } },
    ])
    await second.end('SIGTERM')
  })

  test('what is printed for a program is JSON alone: one value, or one on each line', async () => {
    const site = await newSite()
    const up = await startSystem(site)
    await fetch(`${site.http}/inventory`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sku: 'mug', name: 'Mug', priceCents: 100, quantity: 1 }),
    })
    const { cli } = operator(site)
    const expectJson = async (args: string[]) => {
      const { stdout, stderr } = await cli(...args)
      const is = isJson(stdout) || stdout.trimEnd().split('\n').every(isJson)
      expect(is, `${args.join(' ')}: ${stdout}${stderr}`).toBe(true)
    }
    await Promise.all(LOOKS.map(expectJson))
    for (const args of CHANGES) await expectJson(args)
    await up.end('SIGTERM')
  })
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
