import { expect, test } from 'vitest'
import app from '../../src/inventory/app.ts'
import { redriveLetters } from '../../src/operator/letters-bulk.ts'
import type { System } from '../../src/operator/system.ts'

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

/** A system in which the list view has `heads` parked events, of which those at even positions fail again. */
function systemWith(heads: number) {
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
      return { redriven: position % 2 === 1 && positions.delete(position) ? 1 : 0 }
    },
  }
  const call: System['call'] = async (id, input) => functions[id]?.(input as never)
  return { system: { app, call, ask: call } as System, tried }
}

test('redriving everything tries every parked sequence once, also those that fail again', async () => {
  const { system, tried } = systemWith(1_200)
  expect(await redriveLetters(system, { all: true })).toMatchObject({ redriven: 600 })
  expect(tried).toEqual(Array.from({ length: 1_200 }, (_, index) => index + 1))
})
