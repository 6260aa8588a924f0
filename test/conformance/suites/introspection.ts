import { describe, expect, test } from 'vitest'
import type { EngineUnderTest } from '../../support/engines.ts'
import { RawWorker } from '../../support/raw-worker.ts'
import { failureOf, functionKnown, sdkWorker } from '../../support/sdk-worker.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

/** The functions with which workers look at the engine. */
export function introspection(engine: () => EngineUnderTest): void {
  describe('introspection', () => {
    test('functions::list names the functions with their workers, the engine’s own only on request', async () => {
      const { worker, name, ask } = await setUp(engine().url)
      const prefix = unique('intro')
      worker.registerFunction(`${prefix}::b`, async () => 1, {
        description: 'The letter B',
        metadata: { k: 1 },
      })
      worker.registerFunction(`${prefix}::a`, async () => 1)
      worker.registerFunction(`${prefix}::hidden`, async () => 1, { metadata: { internal: true } })
      await functionKnown(worker, `${prefix}::hidden`)
      const rows = [
        { function_id: `${prefix}::a`, worker_name: name },
        { function_id: `${prefix}::b`, worker_name: name, description: 'The letter B', metadata: { k: 1 } },
      ]
      expect(await ask('functions::list', { prefix })).toEqual({ functions: rows })
      expect(await ask('functions::list', { worker: name })).toEqual({ functions: rows })
      expect(await ask('functions::list', { workers: [name, 'nobody'] })).toEqual({ functions: rows })
      expect(await ask('functions::list', { prefix, search: 'LETTER' })).toEqual({ functions: [rows[1]] })
      const all = (await ask('functions::list', { prefix, include_internal: true })) as {
        functions: unknown[]
      }
      expect(all.functions).toHaveLength(3)
      const ids = async (input: object) =>
        ((await ask('functions::list', input)) as { functions: { function_id: string }[] }).functions.map(
          (row) => row.function_id,
        )
      expect(await ids({})).not.toContain('engine::functions::list')
      expect(await ids({})).toContain('state::get')
      expect(await ids({ include_internal: true })).toEqual(
        expect.arrayContaining([
          'engine::functions::list',
          'engine::workers::register',
          'engine::register_trigger',
        ]),
      )
    })

    test('functions::info tells schemas, owner and triggers, of one function or several', async () => {
      const { worker, name, ask } = await setUp(engine().url)
      const id = unique('intro::f')
      const request_format = { type: 'object' as const, properties: { n: { type: 'number' } } }
      worker.registerFunction(id, async () => 1, { description: 'F', request_format })
      worker.registerTrigger({ type: 'subscribe', function_id: id, config: { topic: 'x' } })
      const detail = await until('the trigger', async () => {
        const found = (await ask('functions::info', { function_id: id })) as {
          registered_triggers: unknown[]
        }
        return found.registered_triggers.length === 1 && found
      })
      expect(detail).toEqual({
        function_id: id,
        worker_name: name,
        description: 'F',
        request_schema: request_format,
        registered_triggers: [{ id: expect.any(String), trigger_type: 'subscribe', config: { topic: 'x' } }],
      })
      expect(await ask('functions::info', { function_ids: [id, 'no::such', id] })).toEqual({
        functions: [detail, { function_id: 'no::such', error: 'not_found' }],
      })
    })

    test('what does not exist is NOT_FOUND, what does not fit an error that says so', async () => {
      const { worker } = await setUp(engine().url)
      const code = async (name: string, payload: unknown) =>
        (await failureOf(worker.trigger({ function_id: `engine::${name}`, payload })))?.code
      expect(await code('functions::info', { function_id: 'no::such' })).toBe('NOT_FOUND')
      expect(await code('workers::info', { name: 'nobody' })).toBe('NOT_FOUND')
      expect(await code('triggers::info', { id: 'no::such' })).toBe('NOT_FOUND')
      expect(await code('registered-triggers::info', { id: 'no::such' })).toBe('NOT_FOUND')
      expect(await code('functions::info', {})).toBe('INVALID_ARGUMENTS')
      expect(await code('functions::info', { function_id: 'a', function_ids: ['b'] })).toBe(
        'INVALID_ARGUMENTS',
      )
      expect(await code('functions::info', { function_ids: [] })).toBe('INVALID_ARGUMENTS')
      expect(await code('functions::list', { prefix: 1 })).toBe('deserialization_error')
      expect(await code('workers::info', {})).toBe('deserialization_error')
      expect(await code('functions::list', null)).toBe('deserialization_error')
    })

    test('workers::list and workers::info show who is connected, and the parts of the engine', async () => {
      const { worker, name, ask } = await setUp(engine().url)
      const id = unique('intro::f')
      worker.registerFunction(id, async () => 1)
      await functionKnown(worker, id)
      const { workers } = (await ask('workers::list', { search: name })) as { workers: { id: string }[] }
      const row = {
        name,
        description: null,
        version: '0.22.1',
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        runtime: 'node',
        os: expect.any(String),
        status: 'connected',
        function_count: 1,
        connected_at_ms: expect.any(Number),
        active_invocations: expect.any(Number),
        isolation: null,
        ip_address: '127.0.0.1',
      }
      expect(workers).toEqual([row])
      expect(await ask('workers::info', { name })).toEqual({
        worker: { ...row, pid: process.pid, internal: false },
        functions: [{ function_id: id, worker_name: name }],
        trigger_types: [],
        registered_triggers: [],
      })
      const builtin = (await ask('workers::list', { runtime: 'engine' })) as { workers: { name: string }[] }
      expect(builtin.workers.map((each) => each.name)).toEqual(
        expect.arrayContaining([
          'iii-engine-functions',
          'iii-http',
          'iii-pubsub',
          'iii-state',
          'iii-worker-manager',
        ]),
      )
    })

    test('a worker is listed once it has told its process id, and its name is cleaned of control characters', async () => {
      const [worker, { ask }] = await Promise.all([RawWorker.connect(engine().url), setUp(engine().url)])
      const name = unique('intro')
      const listed = async () =>
        ((await ask('workers::list', { search: name })) as { workers: unknown[] }).workers
      await worker.call('engine::workers::register', { name: `${name}\u0007\u202e`, runtime: 'test' })
      expect(await listed()).toEqual([])
      expect((await worker.call('engine::workers::register', { pid: 7, runtime: 'test' })).result).toEqual({
        success: true,
      })
      expect(await listed()).toMatchObject([{ name, id: worker.id, runtime: 'test', version: null }])
      worker.terminate()
    })

    test('triggers::list and ::info show the trigger types', async () => {
      const { worker, name, ask } = await setUp(engine().url)
      const type = unique('intro')
      worker.registerTriggerType(
        { id: type, description: 'Ticks' },
        { registerTrigger: async () => {}, unregisterTrigger: async () => {} },
      )
      const list = async (input: object) =>
        (await ask('triggers::list', input)) as { triggers: { id: string }[] }
      await until('the type', async () => (await list({ prefix: type })).triggers.length === 1)
      expect((await list({ worker: name })).triggers).toEqual([
        { id: type, worker_name: name, description: 'Ticks' },
      ])
      expect(await ask('triggers::info', { id: type })).toMatchObject({
        id: type,
        worker_name: name,
        instance_count: 0,
      })
      const ids = (await list({})).triggers.map((row) => row.id)
      expect(ids).toEqual(expect.arrayContaining(['http', 'state', 'subscribe']))
      expect(ids).not.toContain('engine::workers-available')
      expect((await list({ include_internal: true })).triggers.map((row) => row.id)).toEqual(
        expect.arrayContaining(['engine::functions-available', 'engine::workers-available']),
      )
    })

    test('registered-triggers::list and ::info show the bindings', async () => {
      const { worker, name, ask } = await setUp(engine().url)
      const id = unique('intro::f')
      const config = { topic: 'x'.repeat(100) }
      worker.registerFunction(id, async () => 1)
      worker.registerTrigger({ type: 'subscribe', function_id: id, config, metadata: { m: 1 } })
      const row = await until('the binding', async () => {
        const found = await ask('registered-triggers::list', {
          function_id: id,
          trigger_type: 'subscribe',
          worker: name,
        })
        return (found as { registered_triggers: { id: string }[] }).registered_triggers[0]
      })
      expect(row).toEqual({
        id: expect.any(String),
        trigger_type: 'subscribe',
        function_id: id,
        worker_name: name,
        config,
        config_summary: `${JSON.stringify(config).slice(0, 80)}…`,
      })
      expect(await ask('registered-triggers::info', { id: row.id })).toMatchObject({
        id: row.id,
        config,
        metadata: { m: 1 },
        trigger: { id: 'subscribe', worker_name: 'iii-pubsub' },
        function: { function_id: id },
      })
    })
  })
}

async function setUp(url: string) {
  const name = unique('worker')
  const worker = await sdkWorker(url, name)
  const ask = (what: string, payload: unknown): Promise<unknown> =>
    worker.trigger({ function_id: `engine::${what}`, payload })
  return { worker, name, ask }
}
