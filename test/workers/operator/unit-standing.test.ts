import { expect, test } from 'vitest'
import { standingOf } from '../../../src/workers/operator/unit-standing.ts'
import { generations } from '../../support/generations.ts'
import { balances } from '../../support/ledger-app.ts'

test('effects that are being taken over stand where they lie, so that none is missing', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  for (const account of ['ada', 'bob', 'cyd']) await move(account, -1)
  await worker.settle()
  const [{ unit, generations: live } = expect.fail()] = worker.units
  const effects = async () => (await standingOf(worker.readers, worker.control, unit)).effects
  expect(await effects()).toEqual({ pending: 3, dead: 0 })
  await worker.request()
  while ((await worker.states())[2] !== 'active') {
    await worker.coordinator.reconcile()
    if ((await worker.states())[2] !== 'active') await worker.moveUnits()
  }
  expect(await effects(), 'swapped, and nothing is taken over').toEqual({ pending: 3, dead: 0 })
  await live.reconcile()
  expect(await effects(), 'taken over').toEqual({ pending: 3, dead: 0 })
  expect(await worker.send()).toHaveLength(3)
  expect(await effects()).toEqual({ pending: 0, dead: 0 })
})

test('effects and parked events of a view that is split otherwise now are counted once by all its units together', async () => {
  const { move, work } = generations()
  const fold = balances({ fails: (account) => account === 'eve' })
  const first = await work({ ...fold, partitions: 2 })
  for (const account of ['ada', 'bob', 'cyd', 'dan', 'eve']) await move(account, -1)
  await first.settle()
  await first.stop()
  const split = await work({ ...fold, partitions: 3 })
  const told = async () => {
    const standings = split.units.map(({ unit }) => standingOf(split.readers, split.control, unit))
    return (await Promise.all(standings)).map(({ position, effects, parked }) => ({
      position,
      pending: effects.pending,
      parked: parked.retrying + parked.dead,
    }))
  }
  const sum = async (what: 'pending' | 'parked') =>
    (await told()).reduce((total, one) => total + one[what], 0)
  expect((await told()).map(({ position }) => position)).toEqual([5, 5, 5])
  expect([await sum('pending'), await sum('parked')]).toEqual([4, 1])
  while ((await split.states())[2] !== 'active') {
    await split.coordinator.reconcile()
    if ((await split.states())[2] !== 'active') await split.moveUnits()
  }
  expect(await sum('pending'), 'swapped, and nothing is taken over').toBe(4)
  for (const [index, { generations: live }] of split.units.entries()) {
    await live.reconcile()
    // What was taken over already lies in both.
    expect(await sum('pending'), `after ${index + 1}`).toBeGreaterThanOrEqual(4)
  }
  expect([await sum('pending'), await sum('parked')]).toEqual([4, 1])
})
