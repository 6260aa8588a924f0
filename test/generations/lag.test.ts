import { join } from 'node:path'
import { expect, test } from 'vitest'
import { damageView } from '../support/damage-view.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

test('a view that moves is as far behind as its position is', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  const live = worker.units[0]?.generations
  await live?.reconcile()
  for (let index = 0; index < 25; index += 1) await move('ada', 1)
  expect(await live?.lagAt(25)).toBe(25)
  await live?.step()
  expect(await live?.lagAt(25)).toBe(15)
  await worker.settle()
  expect(await live?.lagAt(25)).toBe(0)
})

test('no build makes room for a view that is of another version, which nothing moves', async () => {
  const { move, work } = generations()
  const before = await work(balances())
  await move('ada', 1)
  await before.settle()
  await before.stop()
  for (let index = 0; index < 25; index += 1) await move('ada', 1)
  const gate = Promise.withResolvers<void>()
  const worker = await work({ ...balances(), version: 2 }, { gate: gate.promise })
  await worker.coordinator.reconcile()
  await worker.units[0]?.generations.reconcile()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'building' })
  expect(await worker.units[0]?.generations.lagAt(26)).toBe(0)
  gate.resolve()
  await worker.settle()
  expect(await worker.units[0]?.generations.lagAt(30)).toBe(4)
})

test('no build makes room for a view that is paused', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  await worker.settle()
  await move('ada', 1)
  await worker.control.pause('balances', true)
  await worker.settle()
  expect(await worker.units[0]?.generations.lagAt(1)).toBe(0)
  await worker.control.pause('balances', false)
  await worker.units[0]?.generations.reconcile()
  expect(await worker.units[0]?.generations.lagAt(1)).toBe(1)
})

test('no build makes room for a view that stands still because it is damaged', async () => {
  const { data, move, work } = generations()
  const before = await work(balances())
  await move('ada', 1)
  await before.settle()
  await before.stop()
  damageView(join(data, 'views', 'balances.1.db'), 'document', '{"account":"ada"')
  const worker = await work(balances())
  await worker.units[0]?.generations.reconcile()
  await move('ada', 1)
  expect(await worker.units[0]?.generations.lagAt(2)).toBe(1)
  await worker.units[0]?.generations.step()
  expect(await worker.units[0]?.generations.lagAt(2)).toBe(0)
})
