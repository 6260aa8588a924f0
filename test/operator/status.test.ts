import { expect, test } from 'vitest'
import app from '../../src/inventory/app.ts'
import { CqrsError } from '../../src/kernel/errors.ts'
import { readiness } from '../../src/operator/health.ts'
import { systemStatus } from '../../src/operator/status.ts'
import type { System } from '../../src/operator/system.ts'

/** A system whose log has lost the event behind every view. */
const damaged = {
  app,
  log: {
    head: async () => 9,
    readFrom: () =>
      Promise.reject(new CqrsError('CQRS_STORE_CORRUPT', 'The log has no event at position 6.')),
  },
  standing: async () => ({
    position: 5,
    parked: { retrying: 0, dead: 0, waiting: 0 },
    effects: { pending: 0, dead: 0 },
  }),
  call: async (id: string) =>
    id === 'engine::functions::list'
      ? { functions: [...app.projections.values()].map(({ functionId }) => ({ function_id: functionId })) }
      : { depth: 0, dlq_depth: 0 },
  control: { projection: async () => undefined },
  splitOtherwise: () => undefined,
  disk: async () => ({ free: 1, total: 1 }),
  now: () => new Date(0),
} as unknown as System

test('a damaged log does not hide the status, and makes the system not ready', async () => {
  const { projections } = await systemStatus(damaged)
  expect(projections.map(({ lag, lagSeconds }) => [lag, lagSeconds])).toEqual([
    [4, null],
    [4, null],
    [4, null],
  ])
  const { status, parts } = await readiness(damaged, { maxLagMs: 1_000, minFreeBytes: 0 })
  expect(status).toBe('not ready')
  expect(parts).toContainEqual({
    part: 'projection inventory-list',
    state: 'down',
    reason: 'the next event cannot be read: cqrs audit names what is wrong',
  })
})
