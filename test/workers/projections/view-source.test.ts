import { expect, test } from 'vitest'
import type { ViewReaders } from '../../../src/generations/view-readers.ts'
import { viewSource, WaitingReads } from '../../../src/workers/projections/view-source.ts'

/** A view of which one generation after the other serves, each at a position of its own; the last one stays. */
function serving(...positions: number[]) {
  return servingFor(20_000, ...positions)
}

/** The same, where a read waits for as long as it says, in milliseconds. */
function servingFor(waitMs: number, ...positions: number[]) {
  const readers = {
    use: (_: string, read: (generation: unknown) => unknown) => {
      const at = positions.length > 1 ? positions.shift() : positions[0]
      return read({
        view: { position: async () => at, freshness: async () => ({ position: at, parked: 0 }) },
      })
    },
  }
  const options = {
    readers: readers as Pick<ViewReaders, 'use'>,
    events: { head: async () => 9 },
    waitMs,
    waiting: new WaitingReads(2),
  }
  return viewSource('stock', options)
}

const positionOf = async (_: unknown, { position }: { position: number }) => position

test('a view that is where it has to be is entered once', async () => {
  expect(await serving(9, 5).read(9, positionOf)).toBe(9)
})

test('a view that is rolled back between the look and the read is waited for again', async () => {
  expect(await serving(5, 9, 5, 5, 9).read(9, positionOf)).toBe(9)
})

test('a view that is rolled back between the look and the read, and stays behind, is said to be', async () => {
  await expect(servingFor(20, 5, 9, 5).read(9, positionOf)).rejects.toMatchObject({
    code: 'CQRS_VIEW_BEHIND',
    details: { position: 5, lag: 4 },
  })
})

test('a position beyond the log is refused as a fault of that field', async () => {
  await expect(serving(9).read(10, positionOf)).rejects.toMatchObject({
    code: 'CQRS_VALIDATION',
    message: 'after: 10 is beyond the log, which ends at 9',
    details: { issues: [{ field: 'after', problem: '10 is beyond the log, which ends at 9' }] },
  })
})

test('who asks for no position is answered at once, from wherever the view is', async () => {
  expect(await serving(5).read(0, positionOf)).toBe(5)
})

test('only so many reads wait at the same time, and those that need not wait are answered all the same', async () => {
  const source = servingFor(20, 5)
  const behind = { code: 'CQRS_VIEW_BEHIND' }
  const reads = [9, 9, 9, 5].map((after) => source.read(after, positionOf))
  const [first, second, third, fourth] = await Promise.allSettled(reads)
  expect(first).toMatchObject({ status: 'rejected', reason: behind })
  expect(second).toMatchObject({ status: 'rejected', reason: behind })
  expect(third).toMatchObject({ status: 'rejected', reason: { code: 'CQRS_OVERLOADED' } })
  expect(fourth).toEqual({ status: 'fulfilled', value: 5 })
  await expect(source.read(9, positionOf), 'whoever gave up has left its place').rejects.toMatchObject(behind)
})
