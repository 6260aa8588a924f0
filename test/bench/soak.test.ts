import { expect, test } from 'vitest'
import { growth, type Standing } from './soak.ts'

const EARLY: Standing = {
  memory: { engine: 200, queue: 150 },
  files: 100,
  wal: 120,
  stores: { 'queue.db': 20, 'inventory-list.1.db': 1 },
  lagMs: 30,
}

test('a soak whose end is as its beginning, give or take, is flat', () => {
  expect(growth(EARLY, EARLY)).toEqual([])
  const late = { ...EARLY, memory: { engine: 230, queue: 150 }, files: 102, wal: 150, lagMs: 70 }
  expect(growth(EARLY, late)).toEqual([])
})

test.each([
  ['the memory of engine grew to 300 MiB', { memory: { engine: 300, queue: 150 } }],
  ['open files grew to 140', { files: 140 }],
  ['write-ahead logs grew to 400 MiB', { wal: 400 }],
  ['queue.db grew to 60 MiB', { stores: { 'queue.db': 60, 'inventory-list.1.db': 1 } }],
  ['inventory-list.1.db grew to 40 MiB', { stores: { 'queue.db': 20, 'inventory-list.1.db': 40 } }],
  ['lag grew to 500 ms (p99)', { lagMs: 500 }],
])('%s: not flat', (grown, late) => {
  expect(growth(EARLY, { ...EARLY, ...late })).toEqual([grown])
})
