import { expect, test } from 'vitest'
import app from '../../../src/inventory/app.ts'
import { CqrsError } from '../../../src/kernel/errors.ts'
import type { Letter } from '../../../src/operator/contract.ts'
import { listGroups, listLetters, showLetter } from '../../../src/operator/letters/letters.ts'
import { discardLetters, redriveLetters } from '../../../src/operator/letters/letters-bulk.ts'
import type { System } from '../../../src/operator/system.ts'

const ada = { by: 'ada', from: 'cli' }
const NOW = '2026-01-02T00:00:00.000Z'

interface Fake {
  readonly key: number
  error: string
  attempts?: number
  failedAt?: string
}

/** A system with letters in a queue (by seq), of a projection (by position) and of a reactor (by position). */
function systemWith(letters: { orders?: Fake[]; list?: Fake[]; alerts?: Fake[] }) {
  const { orders = [], list = [], alerts = [] } = letters
  const page = (all: Fake[], after: number, limit: number) =>
    all
      .filter(({ key }) => key > after)
      .sort((a, b) => a.key - b.key)
      .slice(0, limit)
  const remove = (all: Fake[], key: number) => {
    const at = all.findIndex((each) => each.key === key)
    if (at === -1) throw new CqrsError('CQRS_NOT_FOUND', 'it is gone')
    all.splice(at, 1)
  }
  const settled: string[] = []
  const parked = ({ key, error, attempts = 5, failedAt = '2026-01-01T00:00:00.000Z' }: Fake) => ({
    position: key,
    sequence: `item-${key}`,
    type: key % 2 === 0 ? 'sold' : 'added',
    status: key % 5 === 0 ? 'retrying' : 'dead',
    attempts,
    failures: attempts === 0 ? [] : [{ at: failedAt, message: error }],
    parkedAt: failedAt,
  })
  const functions: Record<string, (input: never) => unknown> = {
    'engine::queue::dlq_topics': () => [{ topic: 'orders', message_count: orders.length }],
    'engine::queue::dlq_messages': ({ after_seq, limit }: { after_seq: number; limit: number }) =>
      page(orders, after_seq, limit).map(({ key, error }) => ({
        id: `m-${key}`,
        seq: key,
        payload: {},
        error,
        failed_at: 1_700_000_000,
        retries: 3,
        function_id: 'job::run',
      })),
    'iii::queue::list': () => [
      { queue: 'orders', topic: null },
      { queue: 'default', topic: null },
      { queue: 'sub-1', topic: 'alerts.low-stock' },
    ],
    'iii::queue::redrive_message': ({ message_id }: { message_id: string }) => {
      remove(orders, Number(message_id.slice(2)))
      settled.push(message_id)
      return { redriven: 1 }
    },
    'ops::parked::letters::inventory-list': ({ after, limit }: { after: number; limit: number }) =>
      page(list, after, limit).map((each) => ({ event: parked(each), waiting: 0 })),
    'ops::parked::show::inventory-list': ({ position }: { position: number }) => {
      const found = list.find(({ key }) => key === position)
      if (!found) throw new CqrsError('CQRS_NOT_FOUND', 'it is gone')
      return { event: parked(found), behind: [] }
    },
    'ops::parked::discard::inventory-list': ({ position, reason }: { position: number; reason: string }) => {
      remove(list, position)
      settled.push(`${position} ${reason}`)
      // What waited behind it comes to the front.
      if (position === 1) list.push({ key: 2, error: 'bad shelf', failedAt: NOW.replace('00Z', '01Z') })
      return { discarded: 1 }
    },
    'ops::effects::dead::inventory-alert': ({
      after,
      limit,
    }: {
      after: { position: number }
      limit: number
    }) =>
      page(alerts, after.position, limit).map(({ key, error }) => ({
        idempotencyKey: `inventory-alert:${key}:1`,
        effect: { kind: 'publish', topic: 't', data: {} },
        attempts: 5,
        error,
        failedAt: '2026-01-01T00:00:00.000Z',
      })),
  }
  const call: System['call'] = async (id, input) => functions[id]?.(input as never) ?? []
  const log = { readFrom: async () => ({ events: [], through: 0, head: 0 }) }
  return {
    system: { app, call, ask: call, log, now: () => new Date(NOW), monotonic: () => 0 } as unknown as System,
    settled,
    orders,
    list,
  }
}

const many = (count: number, error = 'late') =>
  Array.from({ length: count }, (_, index) => ({ key: index + 1, error }))

async function pages(system: System, request: object, between = () => {}): Promise<Letter[][]> {
  const found: Letter[][] = []
  let after: string | null | undefined
  do {
    const page = await listLetters(system, { ...request, ...(after && { after }) })
    found.push([...page.letters])
    after = page.next
    between()
  } while (after !== null)
  return found
}

test.each([
  [5_100, { queue: 5_000, parked: 5_000, effect: 2 }],
  [2_000, { queue: 2_000, parked: 8_000, effect: 2 }],
])('with %s letters in a queue, no source is missing among the groups', async (count, counts) => {
  const { system } = systemWith({ orders: many(count), list: many(12_000), alerts: many(2) })
  const ofGroups = async (request: object) => {
    const { groups, more } = await listGroups(system, request)
    const sums: Record<string, number> = {}
    for (const group of groups) sums[group.source] = (sums[group.source] ?? 0) + group.count
    return { sums, more }
  }
  expect(await ofGroups({})).toEqual({ sums: counts, more: true })
  expect(await ofGroups({ source: 'parked' })).toEqual({ sums: { parked: 5_000 }, more: true })
  expect(await ofGroups({ source: 'effect' })).toEqual({ sums: { effect: 2 }, more: false })
})

test('pages follow each other through all sources, without a gap or a repetition', async () => {
  const { system } = systemWith({ orders: many(7), list: many(5), alerts: many(4) })
  for (const limit of [1, 2, 3, 5, 7, 16, 50]) {
    const found = await pages(system, { limit })
    expect(found.slice(0, -1).every((page) => page.length === limit)).toBe(true)
    expect(found.flat().map(({ id }) => id)).toEqual([
      ...many(7).map(({ key }) => `queue:orders:m-${key}`),
      ...many(5).map(({ key }) => `parked:inventory-list:${key}`),
      ...many(4).map(({ key }) => `effect:inventory-alert:${key}.1`),
    ])
  }
})

test('letters that are settled between two pages move no other', async () => {
  const { system, orders } = systemWith({ orders: many(6) })
  const found = await pages(system, { limit: 2 }, () => void orders.shift())
  expect(found.flat().map(({ id }) => id)).toEqual(many(6).map(({ key }) => `queue:orders:m-${key}`))
})

test('filters choose by source, name, status, what it is, and error', async () => {
  const list = many(1_200).map(({ key }) => ({ key, error: key % 100 === 0 ? 'No such SHELF' : 'late' }))
  const { system } = systemWith({ orders: many(3), list })
  const count = async (request: object) => (await pages(system, request)).flat().length
  expect(await count({ error: 'such shelf' })).toBe(12)
  expect(await count({ source: 'queue' })).toBe(3)
  expect(await count({ name: 'inventory-list' })).toBe(1_200)
  expect(await count({ status: 'retrying' })).toBe(240)
  expect(await count({ what: 'SOLD in item-7' })).toBe(
    list.filter(({ key }) => /^7/.test(`${key}`) && key % 2 === 0).length,
  )
  expect(await count({ what: 'job::run' })).toBe(3)
})

test('a cursor that is none is refused', async () => {
  const { system } = systemWith({})
  for (const after of ['x', Buffer.from('["queue"]').toString('base64url')]) {
    await expect(listLetters(system, { after })).rejects.toThrow('after: give the "next"')
  }
})

test('a dry run counts and shows what would be done, and does nothing', async () => {
  const { system, settled } = systemWith({ orders: [...many(30, 'late'), { key: 31, error: 'other' }] })
  const answer = await redriveLetters(system, { error: 'late', dryRun: true })
  expect(answer).toMatchObject({ redriven: 0, matched: 30, next: null, unavailable: [] })
  expect(answer.examples).toHaveLength(20)
  const request = { error: 'late', reason: 'a test', dryRun: true }
  expect(await discardLetters(system, request, ada)).toMatchObject({ discarded: 0, matched: 30 })
  for (const one of [
    { id: 'queue:orders:m-1', dryRun: true },
    { ...request, id: 'queue:orders:m-1' },
  ]) {
    await expect(redriveLetters(system, one)).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
    await expect(discardLetters(system, one, ada)).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
  }
  expect(settled).toEqual([])
  expect(await redriveLetters(system, { error: 'late' })).toMatchObject({
    redriven: 30,
    matched: 30,
    next: null,
  })
  expect(settled).toEqual(many(30).map(({ key }) => `m-${key}`))
})

test('a discard of many is for those that had failed when it began, not for what it brings to the front', async () => {
  const { system, settled, list } = systemWith({
    list: [
      { key: 1, error: 'bad shelf' },
      { key: 3, error: 'bad shelf' },
      { key: 4, error: 'fine', attempts: 0 },
    ],
  })
  const request = { name: 'inventory-list', reason: 'a test' }
  const first = await discardLetters(system, request, ada)
  expect(first).toMatchObject({ discarded: 2, matched: 2, next: null })
  expect(settled).toEqual(['1 a test', '3 a test'])
  expect(list.map(({ key }) => key).sort()).toEqual([2, 4])
  expect(await discardLetters(system, { ...request, asOf: first.asOf }, ada)).toMatchObject({ discarded: 0 })
})

test('what is meant has to be said', async () => {
  const { system } = systemWith({})
  await expect(redriveLetters(system, {})).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
  await expect(redriveLetters(system, { dryRun: true })).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
  await expect(discardLetters(system, { all: true }, ada)).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
})

test('a name that nobody has is not answered as one that has no letters', async () => {
  const { system } = systemWith({})
  for (const name of [
    'orders',
    'default',
    'sub-1',
    'alerts.low-stock',
    'inventory-list',
    'inventory-alert',
  ]) {
    expect(await listLetters(system, { name })).toMatchObject({ letters: [], incomplete: [] })
    expect(await listGroups(system, { name })).toMatchObject({ groups: [] })
    expect(await redriveLetters(system, { name })).toMatchObject({ redriven: 0 })
  }
  const refused = (message: string) => ({ code: 'CQRS_NOT_FOUND', message: expect.stringContaining(message) })
  const nobody = refused(
    'There is no queue or projection nope; there are: alerts.low-stock, default, inventory-alert',
  )
  await expect(listLetters(system, { name: 'nope' })).rejects.toMatchObject(nobody)
  await expect(listGroups(system, { name: 'nope' })).rejects.toMatchObject(nobody)
  await expect(redriveLetters(system, { name: 'nope' })).rejects.toMatchObject(nobody)
  await expect(redriveLetters(system, { name: 'nope', dryRun: true })).rejects.toMatchObject(nobody)
  await expect(discardLetters(system, { name: 'nope', reason: 'a test' }, ada)).rejects.toMatchObject(nobody)
  const other = { source: 'effect', name: 'inventory-list' }
  await expect(listLetters(system, other)).rejects.toMatchObject(
    refused('There is no reactor inventory-list; there are: inventory-alert.'),
  )
})

test('while the queue worker is away nobody says that there is no such name', async () => {
  const { system } = systemWith({})
  const ask: System['ask'] = async (id, input) => {
    if (id === 'iii::queue::list') throw new CqrsError('CQRS_ENGINE_UNREACHABLE', 'it is away')
    return system.ask(id, input)
  }
  expect(await listLetters({ ...system, ask }, { name: 'nope' })).toMatchObject({ letters: [] })
})

test('a letter of a queue or projection that is not there is not asked of a worker that would have to be started', async () => {
  const { system } = systemWith({})
  for (const id of [
    'parked:nope:1',
    'parked:inventory-list.0:1',
    'effect:inventory-list:1.1',
    'queue:nope:1',
  ]) {
    const refused = { code: 'CQRS_NOT_FOUND', message: expect.stringContaining(`There is no `) }
    await expect(showLetter(system, { id })).rejects.toMatchObject(refused)
    await expect(redriveLetters(system, { id })).rejects.toMatchObject(refused)
    await expect(discardLetters(system, { id, reason: 'a test' }, ada)).rejects.toMatchObject(refused)
  }
})
