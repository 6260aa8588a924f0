import type { IIIClient } from 'iii-sdk'
import { describe, expect, test } from 'vitest'
import type { EngineUnderTest } from '../../support/engines.ts'
import { failureOf, functionKnown, sdkWorker } from '../../support/sdk-worker.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

/** The functions `state::…` and the trigger type `state`. */
export function state(engine: () => EngineUnderTest): void {
  describe('state', () => {
    test('set, get and delete', async () => {
      const { call, scope } = await setUp(engine().url)
      expect(await call('get', { scope, key: 'a' })).toBeUndefined()
      expect(await call('set', { scope, key: 'a', value: { n: 1 } })).toEqual({
        old_value: null,
        new_value: { n: 1 },
      })
      expect(await call('set', { scope, key: 'a', data: 'also data' })).toEqual({
        old_value: { n: 1 },
        new_value: 'also data',
      })
      expect(await call('get', { scope, key: 'a' })).toBe('also data')
      expect(await call('delete', { scope, key: 'a' })).toBe('also data')
      expect(await call('delete', { scope, key: 'a' })).toBeUndefined()
      expect(await call('get', { scope, key: 'a' })).toBeUndefined()
    })

    test('null is a value', async () => {
      const { call, scope } = await setUp(engine().url)
      await call('set', { scope, key: 'a', value: null })
      expect(await call('get', { scope, key: 'a' })).toBeNull()
      expect(await call('list', { scope })).toEqual([null])
    })

    test('a scope lists its values in the order of their keys’ first writes', async () => {
      const { call, scope } = await setUp(engine().url)
      expect(await call('list', { scope })).toEqual([])
      for (const key of ['z', 'a', 'm']) await call('set', { scope, key, value: key })
      await call('set', { scope, key: 'z', value: 'z again' })
      expect(await call('list', { scope })).toEqual(['z again', 'a', 'm'])
      await call('delete', { scope, key: 'z' })
      await call('set', { scope, key: 'z', value: 'z' })
      expect(await call('list', { scope })).toEqual(['a', 'm', 'z'])
      const { groups } = (await call('list_groups', {})) as { groups: string[] }
      expect(groups).toContain(scope)
      expect(groups).toEqual([...groups].sort())
    })

    test('an input that does not fit is a deserialization_error', async () => {
      const { worker, scope } = await setUp(engine().url)
      for (const [name, payload] of [
        ['set', { scope, key: 'a' }],
        ['set', { scope: 1, key: 'a', value: 1 }],
        ['set', 'text'],
        ['get', { scope }],
        ['delete', {}],
        ['list', {}],
        ['list_groups', null],
        ['update', { scope, key: 'a' }],
        ['update', { scope, key: 'a', ops: [{ type: 'no-such-op', path: 'a' }] }],
        ['update', { scope, key: 'a', ops: [{ type: 'set', value: 1 }] }],
        ['update', { scope, key: 'a', ops: [{ type: 'increment', path: 'a', by: 1.5 }] }],
      ] as const) {
        const failure = await failureOf(worker.trigger({ function_id: `state::${name}`, payload }))
        expect(failure?.code, `${name} ${JSON.stringify(payload)}`).toBe('deserialization_error')
      }
    })

    test.each(UPDATES)('update: $name', async ({ before, ops, after, errors }) => {
      const { call, scope } = await setUp(engine().url)
      if (before !== undefined) await call('set', { scope, key: 'a', value: before })
      const result = (await call('update', { scope, key: 'a', ops })) as { errors?: { code: string }[] }
      expect(result).toMatchObject({ old_value: before ?? null, new_value: after })
      expect(result.errors?.map(({ code }) => code)).toEqual(errors)
      expect(await call('get', { scope, key: 'a' })).toEqual(after)
    })

    test('the error of an update names its step', async () => {
      const { call, scope } = await setUp(engine().url)
      const ops = [
        { type: 'set', path: 'n', value: 1 },
        { type: 'set', path: '__proto__', value: 1 },
      ]
      const { errors } = (await call('update', { scope, key: 'a', ops })) as { errors: unknown }
      expect(errors).toMatchObject([
        { op_index: 1, code: 'set.path.proto_polluted', message: expect.any(String) },
      ])
    })

    test('updates of one key do not lose each other', async () => {
      const { call, scope } = await setUp(engine().url)
      const ops = [{ type: 'increment', path: 'n', by: 1 }]
      await Promise.all(Array.from({ length: 50 }, () => call('update', { scope, key: 'a', ops })))
      expect(await call('get', { scope, key: 'a' })).toEqual({ n: 50 })
    })

    test('a state trigger tells what was created, updated and deleted, within its scope and key only', async () => {
      const { worker, call, scope } = await setUp(engine().url)
      const events: { event_type: string; metadata: unknown }[] = []
      const id = unique('state::watcher')
      worker.registerFunction(id, async (event: { event_type: string }, metadata?: unknown) => {
        events.push({ ...event, metadata })
      })
      await bind(worker, id, { scope, key: 'a' }, { m: 1 })
      const ops = [{ type: 'increment', path: '', by: 1 }]
      const steps: [string, object, object][] = [
        ['set', { value: 1 }, { event_type: 'state:created', old_value: null, new_value: 1 }],
        ['update', { ops }, { event_type: 'state:updated', old_value: 1, new_value: 2 }],
        ['delete', {}, { event_type: 'state:deleted', old_value: 2, new_value: null }],
        ['delete', {}, { event_type: 'state:deleted', old_value: null, new_value: null }],
      ]
      for (const [index, [name, input, expected]] of steps.entries()) {
        await call('set', { scope, key: 'other', value: index })
        await call(name, { scope, key: 'a', ...input })
        await until('the event', () => events.length > index)
        expect(events[index]).toEqual({ type: 'state', scope, key: 'a', metadata: { m: 1 }, ...expected })
      }
      expect(events).toHaveLength(steps.length)
    })

    test('the condition of a state trigger sees the event and may stop it', async () => {
      const { worker, call, scope } = await setUp(engine().url)
      const seen: number[] = []
      const [id, condition] = [unique('state::watcher'), unique('state::condition')]
      worker.registerFunction(condition, async (event: { new_value: number }) => event.new_value % 2 === 0)
      worker.registerFunction(id, async (event: { new_value: number }) => void seen.push(event.new_value))
      await bind(worker, id, { scope, condition_function_id: condition })
      for (const value of [1, 2, 3, 4]) await call('set', { scope, key: 'a', value })
      await until('the events', () => seen.length === 2)
      expect(seen.sort()).toEqual([2, 4])
    })
  })
}

const UPDATES: {
  name: string
  before?: unknown
  ops: object[]
  after: unknown
  errors?: string[]
}[] = [
  { name: 'nothing makes an empty object', ops: [], after: {} },
  {
    name: 'set a field, and null without a value',
    ops: [set('a', 1), { type: 'set', path: 'b' }],
    after: { a: 1, b: null },
  },
  { name: 'set the root', before: { a: 1 }, ops: [set('', [1])], after: [1] },
  { name: 'dots in a path mean nothing', ops: [set('a.b', 1)], after: { 'a.b': 1 } },
  {
    name: 'set a field of no object',
    before: 5,
    ops: [set('a', 1)],
    after: 5,
    errors: ['set.target_not_object'],
  },
  { name: 'remove a field and the root', before: { a: 1, b: 2 }, ops: [remove('a')], after: { b: 2 } },
  { name: 'remove the root', before: { a: 1 }, ops: [remove('')], after: null },
  {
    name: 'remove from no object',
    before: [1],
    ops: [remove('a')],
    after: [1],
    errors: ['remove.target_not_object'],
  },
  {
    name: 'increment and decrement fields',
    ops: [add('n', 2), add('n', 3), sub('m', 4)],
    after: { n: 5, m: -4 },
  },
  { name: 'increment the missing root', ops: [add('', 3), add('', 1)], after: 4 },
  { name: 'decrement the missing root', ops: [sub('', 3)], after: -3 },
  { name: 'increment a fraction', before: 1.5, ops: [add('', 2)], after: 3.5 },
  {
    name: 'increment no number',
    before: { a: 'x' },
    ops: [add('a', 1)],
    after: { a: 'x' },
    errors: ['increment.not_number'],
  },
  {
    name: 'decrement no object',
    before: 'x',
    ops: [sub('a', 1)],
    after: 'x',
    errors: ['decrement.target_not_object'],
  },
  {
    name: 'append to lists and strings',
    ops: [push('l', 1), push('l', 2), push('s', 'a'), push('s', 'b')],
    after: { l: [1, 2], s: 'ab' },
  },
  { name: 'append to the missing root', ops: [push(undefined, 1), push('', 2)], after: [1, 2] },
  { name: 'append a string to the missing root', ops: [push(undefined, 'a'), push('', 'b')], after: 'ab' },
  {
    name: 'append down a path makes lists',
    ops: [push(['a', 'b'], 's'), push(['a', 'b'], 't')],
    after: { a: { b: ['s', 't'] } },
  },
  { name: 'append to null', before: { a: null }, ops: [push('a', 1)], after: { a: [1] } },
  {
    name: 'append to a number',
    before: { a: 1 },
    ops: [push('a', 1)],
    after: { a: 1 },
    errors: ['append.type_mismatch'],
  },
  {
    name: 'append a number to a string',
    before: { a: 's' },
    ops: [push('a', 1)],
    after: { a: 's' },
    errors: ['append.type_mismatch'],
  },
  {
    name: 'append to a field of no object',
    before: 1,
    ops: [push('a', 1)],
    after: 1,
    errors: ['append.target_not_object'],
  },
  {
    name: 'merge into the root',
    before: { a: 1, b: 1 },
    ops: [merge(undefined, { b: 2, c: 3 })],
    after: { a: 1, b: 2, c: 3 },
  },
  {
    name: 'merge down a path replaces what is in the way',
    before: { a: 1 },
    ops: [merge(['a', 'b'], { c: 1 })],
    after: { a: { b: { c: 1 } } },
  },
  { name: 'merge no object', ops: [merge(undefined, [1])], after: {}, errors: ['merge.value.not_an_object'] },
  { name: 'merge into a root that is no object', before: 5, ops: [merge(undefined, { a: 1 })], after: 5 },
  {
    name: 'merge too deep a value',
    ops: [merge(undefined, { a: nested(16) })],
    after: {},
    errors: ['merge.value.too_deep'],
  },
  {
    name: 'merge a value just deep enough',
    ops: [merge(undefined, { a: nested(15) })],
    after: { a: nested(15) },
  },
  {
    name: 'a failed step does not stop the others',
    ops: [set('a', 1), set('constructor', 1), set('b', 2)],
    after: { a: 1, b: 2 },
    errors: ['set.path.proto_polluted'],
  },
  {
    name: 'keys that could change a prototype are refused',
    ops: [
      set('__proto__', 1),
      merge('prototype', {}),
      merge(undefined, JSON.parse('{"__proto__":{"a":1}}')),
      push(['a', 'constructor'], 1),
      add('__proto__', 1),
      remove('prototype'),
    ],
    after: {},
    errors: [
      'set.path.proto_polluted',
      'merge.path.proto_polluted',
      'merge.value.proto_polluted',
      'append.path.proto_polluted',
      'increment.path.proto_polluted',
      'remove.path.proto_polluted',
    ],
  },
  {
    name: 'paths that are too long, too deep or have empty keys are refused',
    ops: [set('k'.repeat(257), 1), merge(Array(33).fill('a'), {}), push(['a', ''], 1)],
    after: {},
    errors: ['set.path.segment_too_long', 'merge.path.too_deep', 'append.path.empty_segment'],
  },
]

function set(path: string, value: unknown) {
  return { type: 'set', path, value }
}

function remove(path: string) {
  return { type: 'remove', path }
}

function add(path: string, by: number) {
  return { type: 'increment', path, by }
}

function sub(path: string, by: number) {
  return { type: 'decrement', path, by }
}

function push(path: string | string[] | undefined, value: unknown) {
  return { type: 'append', path, value }
}

function merge(path: string | string[] | undefined, value: unknown) {
  return { type: 'merge', path, value }
}

function nested(depth: number): unknown {
  return depth === 1 ? [] : [nested(depth - 1)]
}

async function setUp(url: string) {
  const worker = await sdkWorker(url)
  const call = (name: string, payload: unknown): Promise<unknown> =>
    worker.trigger({ function_id: `state::${name}`, payload })
  return { worker, call, scope: unique('scope') }
}

async function bind(
  worker: IIIClient,
  functionId: string,
  config: object,
  metadata?: Record<string, unknown>,
) {
  worker.registerTrigger({ type: 'state', function_id: functionId, config, ...(metadata && { metadata }) })
  await functionKnown(worker, functionId)
  await until('the state trigger', async () => {
    const { registered_triggers } = await worker.trigger({
      function_id: 'engine::registered-triggers::list',
      payload: { function_id: functionId },
    })
    return registered_triggers.length === 1
  })
}
