import { expect, test } from 'vitest'
import { isIn } from '../../src/kernel/partition.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { unitsOf } from '../../src/kernel/unit.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

const later = { ...balances(), version: 2 } as ProjectionDefinition

/** A view of twelve moves that later code has rebuilt, forced back to the generation before, with that code at work. */
async function forcedBack() {
  const { move, work } = generations()
  const moves = async (count: number) => {
    for (let left = count; left > 0; left -= 1) await move('ada', 1)
  }
  await moves(12)
  const first = await work(balances())
  await first.settle()
  await first.stop()
  const second = await work(later)
  await second.settle()
  await second.control.move('balances', 1, 'returning', { forced: true })
  await second.settle()
  expect(await second.states()).toEqual({ 1: 'active', 2: 'previous' })
  return { moves, work, second }
}

test('a forced rollback is taken back while the later code runs', async () => {
  const { moves, second } = await forcedBack()
  await moves(1)
  await second.control.move('balances', 2, 'returning')
  await second.settle()
  expect(await second.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await second.read('ada')).toMatchObject({ moves: 13 })
})

test('a generation of this code returns beside one of other code that is further, and is brought there first', async () => {
  const { moves, work, second } = await forcedBack()
  await second.stop()
  await moves(25)
  const again = await work(balances())
  await again.settle()
  expect(await again.position()).toBe(37)
  await again.stop()
  const last = await work(later)
  await last.control.move('balances', 2, 'returning')
  for (let tick = 0; (await last.states())[2] !== 'active'; tick += 1) {
    expect(tick, 'it returns').toBeLessThan(10)
    expect(await last.position()).toBe(37)
    await last.tick()
  }
  await last.settle()
  expect(await last.read('ada')).toMatchObject({ moves: 37 })
})

test('a generation that returns can be read all along, also if it is forced while it is brought to where the other one stands', async () => {
  const { work, second } = await forcedBack()
  await second.stop()
  const gate = Promise.withResolvers<void>()
  const last = await work(later, { gate: gate.promise, progress: true })
  await last.control.move('balances', 2, 'returning')
  await last.units[0]?.generations.reconcile()
  await new Promise(setImmediate)
  expect(await last.read('ada', 2)).toMatchObject({ moves: 12 })
  await last.control.move('balances', 2, 'returning', { forced: true })
  await last.coordinator.reconcile()
  expect(await last.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await last.read('ada')).toMatchObject({ moves: 12 })
  gate.resolve()
})

test('code that splits otherwise takes over from one that brought a generation back, and passes it before it moves', async () => {
  const { move, work } = generations()
  const accounts = ['ada', 'bob', 'eve', 'kim']
  for (const account of accounts) await move(account, 1)
  const split = { ...balances(), partitions: 2 }
  const first = await work(split)
  await first.settle()
  await first.stop()
  const whole = await work(balances())
  await whole.settle()
  await whole.control.move('balances', 1, 'returning', { forced: true })
  await whole.settle()
  await whole.control.move('balances', 2, 'returning')
  await whole.moveUnits()
  expect((await whole.control.projection('balances'))?.generations[1]).toMatchObject({
    state: 'returning',
    parts: [{ leading: true }],
  })
  await whole.kill()
  const again = await work(split)
  for (const account of accounts) await move(account, 1)
  await again.moveUnits()
  expect(await again.position()).toBe(8)
  await again.settle()
  expect(await again.position()).toBe(8)
  expect(await again.states()).toEqual({ 1: 'active', 2: 'returning' })
  await again.stop()
  const last = await work(balances())
  await last.settle()
  expect(await last.states()).toEqual({ 1: 'previous', 2: 'active' })
  for (const account of accounts) expect(await last.read(account)).toMatchObject({ moves: 2 })
})

test('what a unit records while another one sees to a forced rollback to another split is sent, also if that is taken back by force', async () => {
  const { move, work } = generations()
  const split = { ...balances(), partitions: 2 } as ProjectionDefinition
  const [, second] = unitsOf(split)
  const account = ['ada', 'bob', 'eve', 'kim', 'joe'].find((name) =>
    isIn(name, (second as NonNullable<typeof second>).partition),
  ) as string
  await move(account, 1)
  const first = await work(balances())
  await first.settle()
  await first.stop()
  const worker = await work(split)
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  await move(account, -5)
  await worker.control.move('balances', 1, 'returning', { forced: true })
  await worker.coordinator.reconcile()
  const [one, other] = worker.units
  // The first unit sees to the rollback; the second one has not noticed it.
  await one?.generations.reconcile()
  while ((await other?.generations.step()) !== 'at-head');
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'previous' })
  await worker.control.move('balances', 2, 'returning', { forced: true })
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await worker.read(account)).toMatchObject({ moves: 2 })
  expect(await worker.send()).toEqual(['balances:2:1'])
})
