import { expect, test } from 'vitest'
import app from '../../../src/inventory/app.ts'
import type { RedriveResult } from '../../../src/operator/contract.ts'
import { redriveLetters } from '../../../src/operator/letters/letters-bulk.ts'
import type { System } from '../../../src/operator/system.ts'

const parked = (position: number) => ({
  event: {
    position,
    sequence: `item-${position}`,
    type: 'inventory-item-sold',
    status: 'dead',
    attempts: 5,
    failures: [{ at: '2026-01-01T00:00:00.000Z', message: 'no such shelf' }],
    parkedAt: '2026-01-01T00:00:00.000Z',
  },
  waiting: 0,
})

/**
 * A system in which the list view has `heads` parked events, of which those at even positions fail again. Each redrive
 * takes `redriveMs`; meanwhile the wall clock is set by `wallMs`.
 */
function systemWith(heads: number, { redriveMs = 0, wallMs = 0 } = {}) {
  let wall = Date.parse('2026-01-02T00:00:00.000Z')
  let elapsed = 0
  const positions = new Set(Array.from({ length: heads }, (_, index) => index + 1))
  const tried: number[] = []
  const functions: Record<string, (input: never) => unknown> = {
    'engine::queue::dlq_topics': () => [],
    'ops::effects::dead::inventory-alert': () => [],
    'ops::parked::letters::inventory-stats': () => [],
    'ops::parked::letters::inventory-alert': () => [],
    'ops::parked::letters::inventory-list': ({ after, limit }: { after: number; limit: number }) =>
      [...positions]
        .filter((position) => position > after)
        .map(parked)
        .slice(0, limit),
    'ops::parked::redrive::inventory-list': ({ position }: { position: number }) => {
      tried.push(position)
      wall += wallMs
      elapsed += redriveMs
      return { redriven: position % 2 === 1 && positions.delete(position) ? 1 : 0 }
    },
  }
  const asked: string[] = []
  const call: System['call'] = async (id, input) => {
    asked.push(id)
    return functions[id]?.(input as never)
  }
  const clocks = { now: () => new Date(wall), monotonic: () => elapsed }
  return { system: { app, call, ask: call, ...clocks } as System, tried, asked }
}

test('redriving everything tries every parked sequence once, also those that fail again', async () => {
  const { system, tried } = systemWith(1_200)
  expect(await redriveLetters(system, { all: true })).toMatchObject({ redriven: 600 })
  expect(tried).toEqual(Array.from({ length: 1_200 }, (_, index) => index + 1))
})

test.each([
  ['everything', { all: true }, 2_500],
  ['what a filter fits', { status: 'dead' }, 2_500],
  ['everything while the clock is set back', { all: true }, -60_000],
  ['what a filter fits while the clock is set back', { status: 'dead' }, -60_000],
] as const)(
  'a redrive of %s answers in time, and the next call goes on behind it',
  async (_, which, wallMs) => {
    const { system, tried, asked } = systemWith(30, { redriveMs: 2_500, wallMs })
    const answers: RedriveResult[] = []
    // What failed last counts as failed before this began.
    const asOf = '2026-01-02T00:00:00.000Z'
    for (let after: string | undefined, calls = 0; calls === 0 || after !== undefined; calls += 1) {
      answers.push(await redriveLetters(system, { ...which, asOf, ...(after !== undefined && { after }) }))
      after = answers.at(-1)?.next ?? undefined
      expect(tried.length, 'of four, each takes 2.5 s').toBeLessThanOrEqual(4 * answers.length)
    }
    expect(answers).toHaveLength(8)
    expect(answers.reduce((sum, { redriven }) => sum + redriven, 0)).toBe(15)
    expect(tried).toEqual(Array.from({ length: 30 }, (_, index) => index + 1))
    if ('all' in which) expect(asked.filter((id) => id.includes('effects'))).toHaveLength(1)
  },
)

test.each([
  ['everything', { all: true }],
  ['what a filter fits', { status: 'dead' }],
] as const)('a redrive of %s takes its time though the clock is set ahead', async (_, which) => {
  const { system, tried } = systemWith(30, { wallMs: 3_600_000 })
  expect((await redriveLetters(system, which)).next ?? null).toBeNull()
  expect(tried).toHaveLength(30)
})

test('where a redrive of everything is to go on is nothing that a filter or a dry run takes', async () => {
  const { system, tried } = systemWith(30, { redriveMs: 2_500, wallMs: 2_500 })
  const { next } = await redriveLetters(system, { all: true })
  const refused = { code: 'CQRS_VALIDATION' }
  for (const input of [
    { all: true, after: next, dryRun: true },
    { status: 'dead', after: next },
    { all: true, after: 'all.nonsense' },
  ]) {
    await expect(redriveLetters(system, input), JSON.stringify(input)).rejects.toMatchObject(refused)
  }
  expect(tried).toHaveLength(4)
})

test('a redrive of very many effects answers in time, and the next call goes on behind those that are back', async () => {
  const { system } = systemWith(0)
  let elapsed = 0
  const afters: unknown[] = []
  const dead = {
    idempotencyKey: 'inventory-alert:70:1',
    effect: { kind: 'publish', topic: 'low', data: {} },
    attempts: 5,
  }
  const call: System['call'] = async (id, input) => {
    if (id === 'ops::effects::dead::inventory-alert') return [dead]
    if (id !== 'ops::effects::redrive::inventory-alert') return system.call(id, input)
    const { after } = input as { after?: { position: number; n: number } }
    afters.push(after)
    elapsed += 4_000
    const position = (after?.position ?? 0) + 10
    return { redriven: 1_000, ...(position < 70 && { next: { position, n: 2 } }) }
  }
  const slow = { ...system, call, ask: call, monotonic: () => elapsed }
  const answers: RedriveResult[] = []
  for (let after: string | undefined; answers.length === 0 || after !== undefined; ) {
    answers.push(await redriveLetters(slow, { all: true, ...(after !== undefined && { after }) }))
    after = answers.at(-1)?.next ?? undefined
  }
  expect(answers.map(({ redriven }) => redriven)).toEqual([3_000, 3_000, 1_000])
  expect(afters).toEqual([undefined, ...[10, 20, 30, 40, 50, 60].map((position) => ({ position, n: 2 }))])
})
