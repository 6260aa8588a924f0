import { expect, test } from 'vitest'
import { standingOf } from '../../src/workers/unit-standing.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

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
