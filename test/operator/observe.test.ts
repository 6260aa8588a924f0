import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TriggerAction } from 'iii-sdk'
import { expect, test } from 'vitest'
import { dataPaths } from '../../src/config/paths.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { CqrsProcess } from '../support/cqrs-process.ts'
import { runProgram } from '../support/program.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { onEachEngine, type Site, startPart, startSystem } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const POISONED_APP = fileURLToPath(new URL('../support/poisoned-app.ts', import.meta.url))

interface Readiness {
  readonly status: string
  readonly parts: readonly { readonly part: string; readonly state: string; readonly reason?: string }[]
}

async function startWorker(site: Site, ...roles: string[]): Promise<CqrsProcess> {
  const worker = new CqrsProcess(['worker', ...roles], { ...site.env, III_URL: site.engine })
  await worker.ready
  return worker
}

const post = (site: Site, path: string, body: object) =>
  fetch(site.http + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

async function ready(site: Site): Promise<Readiness & { code: number }> {
  const response = await fetch(`${site.http}/health/ready`)
  return { code: response.status, ...((await response.json()) as Readiness) }
}

const reasonOf = ({ parts }: Readiness, part: string) => parts.find((each) => each.part === part)?.reason

/** Reads `/metrics`; gives the value of a series by its name and some of its labels. */
async function metrics(site: Site) {
  const token = readFileSync(join(site.data, 'ops-read.token'), 'utf8').trim()
  const response = await fetch(`${site.http}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
  ])
  const text = await response.text()
  return {
    text,
    value: (name: string, ...labels: string[]) => {
      const line = text
        .split('\n')
        .find((each) =>
          each.startsWith(`${name}{`) || each.startsWith(`${name} `)
            ? labels.every((label) => each.includes(label))
            : false,
        )
      return line === undefined ? undefined : Number(line.split(' ').at(-1))
    },
  }
}

/** Sells one of an item behind the back of the commands worker, which has the stream in memory. */
async function sellPast(site: Site, sku: string): Promise<void> {
  const log = openSqliteEventLog({ path: dataPaths(site.data).events })
  const stream = `inventory-item-${sku}`
  const [last] = await log.history(stream, { limit: 1 })
  const outcome = await log.append({
    stream,
    expectedVersion: last?.version ?? 0,
    events: [{ type: 'inventory-item-sold', schemaVersion: 1, data: { sku, quantity: 1, totalCents: 100 } }],
    metadata: { commandId: 'elsewhere', correlationId: 'elsewhere' },
  })
  expect(outcome.kind).toBe('appended')
  await log.close()
}

onEachEngine((newSite) => {
  test('health, metrics and workers tell what is there, what is away, and what is behind', async () => {
    const site = await newSite({ CQRS_OPS_MAX_LAG_MS: '500' })
    await startPart(site, 'engine')
    await startWorker(site, 'operator')
    expect((await fetch(`${site.http}/health/live`)).status).toBe(200)
    const alone = await ready(site)
    expect([alone.code, alone.status]).toEqual([503, 'not ready'])
    expect(reasonOf(alone, 'commands')).toContain('no worker has cmd::')
    expect(reasonOf(alone, 'queries')).toContain('no worker has query::')
    expect(reasonOf(alone, 'projection inventory-list')).toContain('no worker owns it')
    expect(alone.parts.find(({ part }) => part === 'queue')).toMatchObject({ state: 'degraded' })
    expect(alone.parts.find(({ part }) => part === 'log')).toEqual({ part: 'log', state: 'ok' })

    const commands = await startWorker(site, 'commands', 'queries')
    await startWorker(site, 'queue')
    expect(
      (await post(site, '/inventory', { sku: 'mug-1', name: 'Mug', priceCents: 100, quantity: 10 })).status,
    ).toBe(201)
    const unowned = await metrics(site)
    expect(unowned.value('cqrs_log_head_position')).toBe(1)
    expect(unowned.value('cqrs_projection_lag_events', 'projection="inventory-list"')).toBe(1)
    expect(unowned.value('cqrs_projection_owned', 'projection="inventory-list"')).toBe(0)
    await until('messages wait for the projection', async () => {
      const { value } = await metrics(site)
      return (
        value('cqrs_queue_depth', 'queue="inventory-list"') === 1 &&
        Number(value('cqrs_queue_oldest_message_age_seconds', 'queue="inventory-list"')) > 0.2 &&
        Number(value('cqrs_projection_lag_seconds', 'projection="inventory-list"')) > 0.5
      )
    })

    const projections = await startWorker(site, 'projections')
    const standby = await startWorker(site, 'commands')
    await until('everything is ready', async () => (await ready(site)).status === 'ready', 30_000)
    expect((await ready(site)).code).toBe(200)
    for (let n = 0; n < 5; n += 1) await post(site, '/inventory/mug-1/sell', { quantity: n < 4 ? 1 : 100 })
    await until('the projection has applied them', async () => {
      const { value } = await metrics(site)
      return value('cqrs_projection_position', 'projection="inventory-list"') === 5
    })
    const { text, value } = await metrics(site)
    const by = `pid="${commands.pid}"`
    expect(value('cqrs_commands_total', 'command="sell-item"', 'outcome="accepted"', by)).toBe(4)
    expect(value('cqrs_commands_total', 'command="sell-item"', 'outcome="rejected"', by)).toBe(1)
    expect(value('cqrs_events_appended_total', 'command="sell-item"')).toBe(4)
    expect(value('cqrs_command_duration_seconds_count', 'command="sell-item"')).toBe(5)
    expect(value('cqrs_append_conflicts_total', by)).toBe(0)
    expect(value('cqrs_fan_out_total', 'projection="inventory-list"', 'outcome="sent"')).toBeGreaterThan(0)
    expect(value('cqrs_projection_lag_events', 'projection="inventory-list"')).toBe(0)
    expect(value('cqrs_projection_owned', 'projection="inventory-list"')).toBe(1)
    expect(value('cqrs_apply_batch_events_sum', 'projection="inventory-list"', 'process="projections"')).toBe(
      5,
    )
    expect(value('cqrs_projection_advances_total', 'projection="inventory-list"')).toBeGreaterThan(0)
    expect(value('cqrs_queue_deliveries_total', 'queue="inventory-list"', 'outcome="done"')).toBeGreaterThan(
      0,
    )
    expect(value('cqrs_queue_enqueued_total', 'queue="inventory-list"')).toBeGreaterThan(0)
    expect(value('cqrs_queue_oldest_message_age_seconds', 'queue="default"')).toBe(0)
    expect(value('cqrs_queue_provider_up')).toBe(1)
    expect(value('cqrs_worker_role', 'role="commands"', `pid="${standby.pid}"`)).toBe(0)
    expect(value('cqrs_worker_role', 'role="commands"', by)).toBe(1)
    expect(value('cqrs_disk_free_bytes')).toBeGreaterThan(0)
    expect(value('process_resident_memory_bytes', by)).toBeGreaterThan(1_000_000)
    expect(text.match(/^# TYPE cqrs_command_duration_seconds histogram$/gm)).toHaveLength(1)
    expect(text.match(/^# TYPE process_cpu_seconds_total counter$/gm)).toHaveLength(1)

    const shown = await runProgram(['workers'], tempFolder(), { ...site.env, III_URL: site.engine })
    expect(shown.stdout).toMatch(new RegExp(`commands +standing by +${standby.pid} `))
    expect(shown.stdout).toMatch(new RegExp(`projections +at work +${projections.pid} .*inventory-list`))

    await projections.end('SIGKILL')
    await post(site, '/inventory/mug-1/sell', { quantity: 1 })
    const rebuild = await fetch(`${site.http}/ops/projections/inventory-list/rebuild`, {
      method: 'POST',
      headers: { authorization: `Bearer ${readFileSync(join(site.data, 'ops.token'), 'utf8').trim()}` },
    })
    expect(rebuild.status).toBe(200)
    const building = ['projection="inventory-list"', 'generation="2"', 'state="building"']
    expect((await metrics(site)).value('cqrs_generation_position', ...building)).toBe(0)
    await until('the projection shows as nobody’s', async () => {
      return reasonOf(await ready(site), 'projection inventory-list')?.includes('no worker owns it')
    })
    await commands.end('SIGKILL')
    await until('the standby has taken over', async () => {
      const { value: now } = await metrics(site)
      return now('cqrs_worker_role', 'role="commands"', `pid="${standby.pid}"`) === 1
    })
  })

  test('metrics and processes ask for a token, health does not', async () => {
    const site = await newSite()
    await startPart(site, 'engine')
    await startWorker(site, 'operator')
    const refused = await fetch(`${site.http}/metrics`)
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer realm="operators"',
    ])
    expect((await fetch(`${site.http}/health/live`)).headers.get('x-content-type-options')).toBe('nosniff')
  })

  test('a disk with too little room is no reason to take more', async () => {
    const site = await newSite({ CQRS_OPS_MIN_FREE_BYTES: String(Number.MAX_SAFE_INTEGER) })
    await startPart(site, 'engine')
    await startWorker(site, 'operator')
    expect(reasonOf(await ready(site), 'disk')).toContain('MiB are free, less than the minimum of')
  })

  test('a data folder that cannot be written is no reason to take more, and is still measured', async () => {
    const site = await newSite()
    // Nothing can be opened for writing in the place of a folder, nor on a disk that is read-only.
    mkdirSync(dataPaths(site.data).writeProbe, { recursive: true })
    await startPart(site, 'engine')
    await startWorker(site, 'operator')
    const refused = await ready(site)
    expect(refused.code).toBe(503)
    expect(reasonOf(refused, 'disk')).toContain('nothing can be written to the data folder (EISDIR)')
    expect((await metrics(site)).value('cqrs_disk_free_bytes')).toBeGreaterThan(0)
  })

  test('what fails, waits and is built shows in metrics, and every series of the guide is there', async () => {
    const site = await newSite({
      CQRS_APP: POISONED_APP,
      CQRS_PROJECTIONS_MAX_ATTEMPTS: '2',
      CQRS_PROJECTIONS_RETRY_BASE_MS: '10',
      CQRS_QUEUE_MAX_RETRIES: '2',
      CQRS_QUEUE_BACKOFF_MS: '10',
    })
    const up = await startSystem(site)
    const worker = await sdkWorker(site.engine)
    worker.registerFunction('test::fails', () => Promise.reject(new Error('never')))
    const call = {
      function_id: 'test::fails',
      payload: {},
      action: TriggerAction.Enqueue({ queue: 'default' }),
    }
    await worker.trigger(call)
    for (const [sku, name] of [
      ['b1', 'Broken 1'],
      ['mug-1', 'Mug'],
    ]) {
      await post(site, '/inventory', { sku, name, priceCents: 100, quantity: 10 })
    }
    await post(site, '/inventory/b1/sell', { quantity: 9 })
    await runProgram(['rebuild', 'inventory-stats'], tempFolder(), { ...site.env, III_URL: site.engine })
    const of = 'projection="inventory-list"'
    await until('all of it has come about', async () => {
      const { value } = await metrics(site)
      return (
        value('cqrs_parked_events', of, 'status="dead"') === 1 &&
        value('cqrs_queue_dead_letters', 'queue="default"') === 1 &&
        Number(value('cqrs_effects_total')) > 0
      )
    })
    const { text, value } = await metrics(site)
    expect(value('cqrs_parked_events', of, 'status="waiting"')).toBe(1)
    expect(value('cqrs_queue_retries_total', 'queue="default"')).toBe(1)
    expect(value('cqrs_queue_deliveries_total', 'queue="default"', 'outcome="failed"')).toBe(2)
    expect(value('cqrs_projection_advances_total', of, 'path="queue"')).toBeGreaterThan(0)
    expect(value('cqrs_apply_duration_seconds_count', of)).toBeGreaterThan(0)
    expect(value('cqrs_generation_position', 'projection="inventory-stats"', 'state="previous"')).toBe(3)
    for (const [generation, state] of [
      [1, 'previous'],
      [2, 'active'],
    ]) {
      const labels = ['projection="inventory-stats"', `generation="${generation}"`, `state="${state}"`]
      // At least its pages.
      expect(value('cqrs_generation_bytes', ...labels)).toBeGreaterThan(4_096)
    }

    await runProgram(['queues', 'pause', 'inventory-list'], tempFolder(), {
      ...site.env,
      III_URL: site.engine,
    })
    await sellPast(site, 'mug-1')
    expect((await post(site, '/inventory/mug-1/sell', { quantity: 1 })).status).toBe(200)
    await until('the sweep moves what the queue does not tell', async () => {
      const { value: now } = await metrics(site)
      const advances = now('cqrs_projection_advances_total', of, 'path="sweep"')
      return now('cqrs_projection_position', of) === 5 && Number(advances) > 0
    })
    const { value: then } = await metrics(site)
    expect(then('cqrs_queue_paused', 'queue="inventory-list"')).toBe(1)
    expect(then('cqrs_append_conflicts_total', 'process="commands"')).toBe(1)

    const guide = readFileSync(new URL('../../docs/operate.md', import.meta.url), 'utf8')
    const rows = guide.split('\n').filter((line) => line.startsWith('| `cqrs_'))
    const named = rows.flatMap((row) => [...row.matchAll(/`(cqrs_\w+)`/g)].map(([, name]) => String(name)))
    expect(named.length).toBeGreaterThan(25)
    expect(named.filter((name) => !text.includes(`# TYPE ${name} `))).toEqual([])
    await up.end('SIGTERM')
  })
})
