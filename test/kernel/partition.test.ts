import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineEvent } from '../../src/kernel/event.ts'
import { isIn, partitionOf } from '../../src/kernel/partition.ts'
import { defineProjection } from '../../src/kernel/projection.ts'
import { isMeant, unitsOf } from '../../src/kernel/unit.ts'

test('the partition of a stream never changes: stores that were split by it rely on it', () => {
  const streams = ['', 'inventory-item-mug-1', 'inventory-item-mug-2', 'bank-ada', 'ü-\u{1f600}']
  expect(streams.map((stream) => partitionOf(stream, 64))).toEqual([11, 3, 18, 6, 50])
})

test('each stream is in one partition, and streams are spread evenly', () => {
  const counts = [0, 0, 0, 0, 0]
  for (let item = 0; item < 10_000; item += 1) {
    const stream = `inventory-item-${item}`
    const inside = counts.map((_, index) => isIn(stream, { index, count: 5 }))
    expect(inside.filter(Boolean)).toHaveLength(1)
    counts[inside.indexOf(true)] = (counts[inside.indexOf(true)] ?? 0) + 1
  }
  for (const count of counts) expect(count).toBeGreaterThan(1_800)
})

const Moved = defineEvent({ type: 'moved', schema: z.object({ account: z.string() }) })

function projection(options: { partitions?: number; sequence?: () => string }) {
  return defineProjection({ name: 'balances', events: [Moved], initial: () => 0, ...options }).on({})
}

test('a split projection has a unit per partition; one that is not keeps its own names', () => {
  expect(unitsOf(projection({})).map(({ name, functionId }) => [name, functionId])).toEqual([
    ['balances', 'proj::balances'],
  ])
  const units = unitsOf(projection({ partitions: 2 }))
  expect(units.map(({ name, functionId }) => [name, functionId])).toEqual([
    ['balances.0', 'proj::balances.0'],
    ['balances.1', 'proj::balances.1'],
  ])
  expect(units.map(({ partition }) => partition)).toEqual([
    { index: 0, count: 2 },
    { index: 1, count: 2 },
  ])
  expect([isMeant('balances', 'balances.1'), isMeant('balance', 'balances.1')]).toEqual([true, false])
  // Queues may have such names.
  expect(isMeant('orders', 'orders.paid')).toBe(false)
})

test('impossible partitions are refused, and the message names the projection', () => {
  for (const partitions of [0, 1.5, 65]) {
    expect(() => projection({ partitions })).toThrow(/balances has .* partitions; give a whole number/)
  }
  expect(() => projection({ partitions: 2, sequence: () => 'one' })).toThrow(
    /both "partitions" and "sequence"/,
  )
})
