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
  ask: async (id: string) =>
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
  const { status, parts } = await readiness(damaged, { maxLagMs: 1_000, minFreeBytes: 0, readyAnswerMs: 700 })
  expect(status).toBe('not ready')
  expect(parts).toContainEqual({
    part: 'projection inventory-list',
    state: 'down',
    reason: 'the next event cannot be read: cqrs audit names what is wrong',
  })
})

test('the status has the version of the generation that serves beside that of the code', async () => {
  const generations = [{ generation: 3, version: 7, partitions: 1, parts: [], state: 'active' }]
  const control = { projection: async () => ({ paused: false, generations }) }
  const { projections } = await systemStatus({ ...damaged, control } as unknown as System)
  expect(projections[0]).toMatchObject({ version: 1, servingVersion: 7, generation: 3, frozen: true })
})

test('the status tells how far each build is, its parts together', async () => {
  const part = (phase: string, position: number, eventsPerSecond: number, error?: string) => ({
    ...{ phase, position, target: 12_000, eventsPerSecond, error },
  })
  const one = { version: 1, partitions: 2, parts: [] }
  const generations = [
    { ...one, generation: 1, state: 'active', partitions: 1 },
    { ...one, generation: 2, state: 'side', purpose: 'inspect' },
    {
      ...{ ...one, generation: 3, state: 'building', purpose: 'serve' },
      parts: [part('folding', 4_000, 1_500), part('folding', 6_000, 500)],
    },
    {
      ...{ ...one, generation: 4, state: 'building', purpose: 'verify' },
      parts: [part('waiting', 0, 0, 'the disk is full')],
    },
  ]
  const control = { projection: async () => ({ paused: false, generations }) }
  const { projections } = await systemStatus({ ...damaged, control } as unknown as System)
  expect(projections[0]?.building).toBe(true)
  expect(projections[0]?.builds).toEqual([
    {
      ...{ generation: 3, purpose: 'serve', phase: 'folding', position: 4_000, target: 12_000 },
      ...{ eventsPerSecond: 2_000, secondsLeft: 8, error: null },
    },
    {
      ...{ generation: 4, purpose: 'verify', phase: 'waiting', position: 0, target: 12_000 },
      ...{ eventsPerSecond: 0, secondsLeft: null, error: 'the disk is full' },
    },
  ])
  const calm = await systemStatus(damaged)
  expect([calm.projections[0]?.building, calm.projections[0]?.builds]).toEqual([false, []])
})
