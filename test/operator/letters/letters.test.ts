import { expect, test } from 'vitest'
import inventory from '../../../src/inventory/app.ts'
import { CqrsError } from '../../../src/kernel/errors.ts'
import type { EventLog } from '../../../src/log/contract.ts'
import type { ActionStore } from '../../../src/operator/action-store.ts'
import { renderLetter } from '../../../src/operator/cli/dlq.ts'
import { listLetters, showLetter } from '../../../src/operator/letters/letters.ts'
import { discardLetters, redriveLetters } from '../../../src/operator/letters/letters-bulk.ts'
import type { System } from '../../../src/operator/system.ts'

type Answers = Record<string, (payload: never, unit: string) => unknown>

/**
 * A system whose other workers answer what the test says, by function; every call is noted. Functions of a unit
 * are told which one.
 */
function system(answers: Answers) {
  const calls: { functionId: string; payload: unknown }[] = []
  const fake: System = {
    app: inventory,
    log: {
      readFrom: async () => ({ events: [{ position: 7 }], through: 7, head: 9 }),
    } as unknown as EventLog,
    control: undefined as unknown as System['control'],
    views: undefined as unknown as System['views'],
    diskUse: () => 0,
    standing: () => Promise.reject(new Error('not asked for')),
    behindFor: () => 0,
    splitOtherwise: () => undefined,
    marks: () => Promise.reject(new Error('not asked for')),
    actions: {} as ActionStore,
    processes: () => Promise.reject(new Error('not asked for')),
    disk: () => Promise.reject(new Error('not asked for')),
    now: () => new Date(0),
    monotonic: () => 0,
    ask: (functionId, payload) => fake.call(functionId, payload),
    async call(functionId, payload) {
      calls.push({ functionId, payload })
      const [, operation, unit = ''] = /^(ops::\w+::\w+)::(.+)$/.exec(functionId) ?? []
      const answer = answers[operation ?? functionId]
      if (!answer) throw new Error(`nobody offers ${functionId}`)
      return answer(payload as never, unit)
    },
  }
  return { fake, calls }
}

const ada = { by: 'ada', from: 'cli' }
const parkedEvent = {
  position: 7,
  sequence: 'inventory-item-lamp',
  type: 'inventory-item-sold',
  status: 'dead',
  attempts: 5,
  failures: [{ at: '2024-01-02T00:00:00.000Z', message: 'boom' }],
  parkedAt: '2024-01-02T00:00:00.000Z',
}
const deadEffect = {
  idempotencyKey: 'inventory-alert:9:1',
  effect: { kind: 'publish', topic: 'alerts.low-stock', data: {} },
  attempts: 5,
  error: 'refused',
  failedAt: '2024-01-01T00:00:00.000Z',
}
const message = { id: 'm-1', payload: { a: 1 }, error: 'late', failed_at: 1_704_240_000, retries: 3 }

const answers = {
  'engine::queue::dlq_topics': () => [{ topic: 'orders', message_count: 1 }],
  'engine::queue::dlq_messages': () => [message],
  'ops::parked::letters': (_: unknown, unit: string) =>
    unit === 'inventory-list' ? [{ event: parkedEvent, waiting: 2 }] : [],
  'ops::parked::show': () => ({ event: parkedEvent, behind: [{ ...parkedEvent, position: 8 }] }),
  'ops::effects::dead': () => [deadEffect],
}

test('letters of every source stand in one list, each under an id of its own', async () => {
  const { fake } = system(answers)
  const { letters, next } = await listLetters(fake, {})
  expect(letters.map(({ id }) => id)).toEqual([
    'queue:orders:m-1',
    'parked:inventory-list:7',
    'effect:inventory-alert:9.1',
  ])
  expect(letters[1]).toMatchObject({ status: 'dead', error: 'boom', attempts: 5, waiting: 2 })
  expect(next).toBeNull()
  expect((await listLetters(fake, { source: 'effect' })).letters).toHaveLength(1)
  expect((await listLetters(fake, { name: 'orders' })).letters).toHaveLength(1)
})

test('while the queue worker is away the other letters are listed, and what is left out is named', async () => {
  const away = () => Promise.reject(new CqrsError('CQRS_ENGINE_UNREACHABLE', 'no worker'))
  const { fake } = system({ ...answers, 'engine::queue::dlq_topics': away })
  const page = await listLetters(fake, {})
  expect(page.letters.map(({ source }) => source)).toEqual(['parked', 'effect'])
  expect(page.unavailable).toEqual(['queue'])
  expect(page.incomplete).toEqual([{ source: 'queue', name: null, error: 'no worker' }])
})

test('while the worker of one projection is away, the letters of the others are listed', async () => {
  const { fake } = system({
    ...answers,
    'ops::parked::letters': (payload: never, unit: string) =>
      unit === 'inventory-stats'
        ? Promise.reject(new CqrsError('CQRS_ENGINE_UNREACHABLE', 'no worker'))
        : answers['ops::parked::letters'](payload, unit),
  })
  const page = await listLetters(fake, {})
  expect(page.letters.map(({ source }) => source)).toEqual(['queue', 'parked', 'effect'])
  expect(page.unavailable).toEqual(['parked'])
  expect(page.incomplete).toEqual([{ source: 'parked', name: 'inventory-stats', error: 'no worker' }])
})

test('units of a worker that stands still are waited for together, not one after the other', async () => {
  const units = ['inventory-list', 'inventory-stats', 'inventory-alert']
  const asked = new Set<string>()
  const all = Promise.withResolvers<void>()
  const { fake } = system({
    ...answers,
    'ops::parked::letters': async (_: never, unit: string) => {
      asked.add(unit)
      if (asked.size === units.length) all.resolve()
      await all.promise
      throw new CqrsError('CQRS_ENGINE_UNREACHABLE', `${unit} stands still`)
    },
  })
  const page = await listLetters(fake, {})
  expect(page.letters.map(({ source }) => source)).toEqual(['queue', 'effect'])
  expect(page.incomplete).toEqual(
    units.sort().map((name) => ({ source: 'parked', name, error: `${name} stands still` })),
  )
})

test('a letter is shown with what it is about', async () => {
  const { fake } = system(answers)
  expect(await showLetter(fake, { id: 'parked:inventory-list:7' })).toMatchObject({
    content: { position: 7 },
    behind: [8],
  })
  expect(await showLetter(fake, { id: 'queue:orders:m-1' })).toMatchObject({ content: { a: 1 } })
  expect(await showLetter(fake, { id: 'effect:inventory-alert:9.1' })).toMatchObject({
    content: { topic: 'alerts.low-stock' },
  })
  await expect(showLetter(fake, { id: 'queue:orders:other' })).rejects.toMatchObject({
    code: 'CQRS_NOT_FOUND',
  })
})

test('an event that only waits behind another one is shown as that, and not as dead', async () => {
  const waiting = { ...parkedEvent, position: 8, status: 'waiting', attempts: 0, failures: [] }
  const { fake } = system({ ...answers, 'ops::parked::show': () => ({ event: waiting, behind: [] }) })
  const letter = await showLetter(fake, { id: 'parked:inventory-list:8' })
  expect(letter).toMatchObject({
    status: 'waiting',
    error: 'It waits behind an earlier event of its sequence.',
  })
  expect(renderLetter(letter)).toContain(
    'waiting since 2024-01-02T00:00:00.000Z: It waits behind an earlier event of its sequence.',
  )
})

test('redriving everything reaches every source', async () => {
  const { fake, calls } = system({
    ...answers,
    'iii::queue::redrive': () => ({ redriven: 1 }),
    'ops::parked::redrive': () => ({ redriven: 3 }),
    'ops::effects::redrive': () => ({ redriven: 1 }),
  })
  expect(await redriveLetters(fake, { all: true })).toEqual({
    redriven: 5,
    unavailable: [],
    incomplete: [],
  })
  expect(calls.filter(({ functionId }) => functionId.includes('redrive'))).toEqual([
    { functionId: 'iii::queue::redrive', payload: { queue: 'orders', wait_ms: 5_000 } },
    { functionId: 'ops::parked::redrive::inventory-list', payload: { position: 7 } },
    { functionId: 'ops::effects::redrive::inventory-alert', payload: {} },
  ])
})

test('a parked event that was settled before its turn does not end a redrive; another failure does', async () => {
  const failing = (stillThere: boolean) =>
    system({
      ...answers,
      'ops::parked::redrive': () => Promise.reject(new Error('no')),
      'ops::parked::show': () =>
        stillThere
          ? answers['ops::parked::show']()
          : Promise.reject(new CqrsError('CQRS_NOT_FOUND', 'not parked')),
    }).fake
  expect(await redriveLetters(failing(false), { name: 'inventory-list' })).toEqual({
    redriven: 0,
    unavailable: [],
    incomplete: [],
  })
  await expect(redriveLetters(failing(true), { name: 'inventory-list' })).rejects.toThrow('no')
})

test.each(['CQRS_ENGINE_UNREACHABLE', 'CQRS_STORE_CORRUPT'] as const)(
  'nobody takes a letter for settled whose worker cannot say so any more: %s',
  async (code) => {
    const gone = () => Promise.reject(new CqrsError(code, 'it stands still'))
    const positions = [7, 8, 9]
    const { fake, calls } = system({
      ...answers,
      'ops::parked::letters': (_: never, unit: string) =>
        unit === 'inventory-list'
          ? positions.map((position) => ({ event: { ...parkedEvent, position }, waiting: 0 }))
          : [],
      'ops::parked::redrive': ({ position }: { position: number }) =>
        position === 7 ? { redriven: 1 } : Promise.reject(new Error('it ended')),
      'ops::parked::discard': ({ position }: { position: number }) =>
        position === 7 ? { discarded: 1 } : Promise.reject(new Error('it ended')),
      'ops::parked::show': gone,
      'ops::effects::redrive': () => ({ redriven: 1 }),
      'ops::effects::discard': () => ({ discarded: 1 }),
      'iii::queue::redrive': () => ({ redriven: 1 }),
      'iii::queue::redrive_message': () => ({ redriven: 1 }),
      'iii::queue::discard_message': () => ({ redriven: 1 }),
    })
    const incomplete = [{ source: 'parked', name: 'inventory-list', error: 'it stands still' }]
    const asOf = '2025-01-01T00:00:00.000Z'
    // What came before it is counted, and the others go on.
    expect(await redriveLetters(fake, { all: true })).toMatchObject({ redriven: 3, incomplete })
    expect(await redriveLetters(fake, { status: 'dead', asOf })).toMatchObject({ redriven: 3, incomplete })
    const discard = { all: true, asOf, reason: 'a test' }
    expect(await discardLetters(fake, discard, ada)).toMatchObject({ discarded: 3, incomplete })
    const tried = calls.filter(({ functionId }) => /^ops::parked::(redrive|discard)/.test(functionId))
    expect(tried.map(({ payload }) => (payload as { position: number }).position)).toEqual([7, 8, 7, 8, 7, 8])
  },
)

test('an effect is given up under its idempotency key, with the reason', async () => {
  const { fake, calls } = system({ ...answers, 'ops::effects::discard': () => ({ discarded: 1 }) })
  await discardLetters(fake, { id: 'effect:inventory-alert:9.1', reason: 'sent by hand' }, ada)
  expect(calls).toEqual([
    {
      functionId: 'ops::effects::discard::inventory-alert',
      payload: {
        idempotencyKey: 'inventory-alert:9:1',
        reason: 'sent by hand',
        by: 'ada',
      },
    },
  ])
})

test.each(['42', 'parked:list:x', 'effect:alert:9', 'effect:alert:9.', 'queue:orders'])(
  '%s is no id of a letter',
  async (id) => {
    await expect(showLetter(system(answers).fake, { id })).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
  },
)

test('a letter is not given up without a reason', async () => {
  const request = { id: 'effect:inventory-alert:9.1', reason: '  ' }
  await expect(discardLetters(system(answers).fake, request, ada)).rejects.toMatchObject({
    code: 'CQRS_VALIDATION',
    message: expect.stringContaining('reason'),
  })
})
