import { expect, test } from 'vitest'
import app from '../../../src/inventory/app.ts'
import { CqrsError } from '../../../src/kernel/errors.ts'
import { errorPattern, fingerprint } from '../../../src/operator/fingerprint.ts'
import { listGroups } from '../../../src/operator/letters/letters.ts'
import { discardLetters, redriveLetters } from '../../../src/operator/letters/letters-bulk.ts'
import type { System } from '../../../src/operator/system.ts'

const sold = { source: 'parked', name: 'inventory-list', kind: 'inventory-item-sold' } as const

test.each([
  ['cannot apply 42 at position 1,007', 'cannot apply -1 at position 99'],
  ['No item "mug-1"; add it first', `No item 'a "big" cup'; add it first`],
  [
    'Order 0190a3b4-7c2e-7d11-8a34-5b6c7d8e9f00 is gone',
    'Order 0190a3b4-7c2e-7d11-8a34-000000000001 is gone',
  ],
  ['digest 9f86d081884c7d65 differs', 'digest 60303ae22b998861 differs'],
  ['late at 2026-01-02T03:04:05.678Z', 'late at 2025-11-12T13:14:15Z'],
  ['connect ECONNREFUSED 127.0.0.1:5432', 'connect ECONNREFUSED 10.0.0.17:6000'],
  ['boom\n    at apply (list.ts:12:3)', 'boom\n    at apply (list.ts:12:3)'],
])('"%s" and "%s" are one error', (left, right) => {
  expect(fingerprint(sold, left)).toBe(fingerprint(sold, right))
})

test.each([
  ['no such shelf', 'no such item'],
  ['connect ECONNREFUSED 127.0.0.1:5432', 'connect ETIMEDOUT 127.0.0.1:5432'],
])('"%s" and "%s" are two', (left, right) => {
  expect(fingerprint(sold, left)).not.toBe(fingerprint(sold, right))
})

test('the same error is another group for another type of event, projection or source', () => {
  const kinds = [
    sold,
    { ...sold, kind: 'other' },
    { ...sold, name: 'other' },
    { ...sold, source: 'queue' } as const,
  ]
  expect(new Set(kinds.map((kind) => fingerprint(kind, 'boom'))).size).toBe(4)
})

test('a long or strange error has a pattern all the same, and soon', () => {
  const started = performance.now()
  for (const part of ['"', '"\\', '0', 'a1', '\n', '\'"`']) errorPattern(part.repeat(200_000))
  // Milliseconds; a pattern that goes back and forth would take hours.
  expect(performance.now() - started).toBeLessThan(10_000)
})

/** A system whose list has parked events with two kinds of errors. */
function systemWith(errors: ReadonlyMap<number, string>) {
  const letters = new Map(errors)
  const event = (position: number) => ({
    event: {
      position,
      sequence: `item-${position}`,
      type: 'inventory-item-sold',
      status: position === 4 ? 'retrying' : 'dead',
      attempts: 5,
      failures: [{ at: `2026-01-01T00:00:0${position}.000Z`, message: letters.get(position) }],
      parkedAt: '2026-01-01T00:00:00.000Z',
    },
    waiting: position,
  })
  const settled: string[] = []
  const settle = (how: string) => (input: never) => {
    const { position } = input as { position: number }
    if (!letters.delete(position)) throw new CqrsError('CQRS_NOT_FOUND', 'not there (any more)')
    settled.push(`${how} ${position}`)
    return { redriven: 1, discarded: 1 }
  }
  const functions: Record<string, (input: never) => unknown> = {
    'engine::queue::dlq_topics': () => [],
    'ops::effects::dead::inventory-alert': () => [],
    'ops::parked::letters::inventory-stats': () => [],
    'ops::parked::letters::inventory-alert': () => [],
    'ops::parked::letters::inventory-list': () => [...letters.keys()].map(event),
    'ops::parked::redrive::inventory-list': settle('redrive'),
    'ops::parked::discard::inventory-list': settle('discard'),
  }
  const call: System['call'] = async (id, input) => functions[id]?.(input as never)
  const now = () => new Date('2026-01-02T00:00:00.000Z')
  return { system: { app, call, ask: call, now, monotonic: () => 0 } as System, letters, settled }
}

const ERRORS = new Map([
  [1, 'no shelf 17'],
  [2, 'no price'],
  [4, 'no shelf 18'],
  [7, 'no shelf 19'],
])

test('letters are gathered by their error, with how many there are, since when, and one of them', async () => {
  const { groups, more } = await listGroups(systemWith(ERRORS).system, {})
  expect(more).toBe(false)
  expect(groups).toMatchObject([
    {
      names: ['inventory-list'],
      error: 'no shelf #',
      count: 3,
      dead: 2,
      waiting: 12,
      firstFailedAt: '2026-01-01T00:00:01.000Z',
      lastFailedAt: '2026-01-01T00:00:07.000Z',
      example: 'parked:inventory-list:1',
    },
    { error: 'no price', count: 1 },
  ])
})

test('a group is redriven and discarded as a whole, in order, and no other letter with it', async () => {
  const { system, settled } = systemWith(ERRORS)
  const { groups } = await listGroups(system, {})
  const [shelves, prices] = groups.map((group) => group.fingerprint) as [string, string]
  expect(await redriveLetters(system, { fingerprint: shelves })).toMatchObject({ redriven: 3 })
  const discard = { fingerprint: prices, reason: 'a test' }
  expect(await discardLetters(system, discard, { by: 'ada', from: 'cli' })).toMatchObject({ discarded: 1 })
  expect(settled).toEqual(['redrive 1', 'redrive 4', 'redrive 7', 'discard 2'])
  await expect(redriveLetters(system, { fingerprint: shelves })).rejects.toMatchObject({
    code: 'CQRS_NOT_FOUND',
  })
})
