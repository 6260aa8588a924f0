import { expect, test } from 'vitest'
import { generations, type Worker } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

/** A worker whose events of `failing` accounts fail, one of them dead at position 1, and others behind it. */
async function withDeadLetter(options: { gate?: Promise<void> } = {}) {
  const { move, work, clock } = generations()
  const failing = new Set(['ada'])
  const fold = balances({ fails: (account) => failing.has(account) })
  const worker = await work(fold, options)
  await move('ada', -1)
  await move('ada', -2)
  await move('bob', 5)
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await worker.settle()
    clock.now += 10_000
  }
  return { move, work, clock, failing, fold, worker }
}

const discard = (worker: Worker, position: number) =>
  worker.units[0]?.generations.discard(position, 'eve', 'a test order')

test('what is given up while a rebuild has it parked is not applied by the rebuild afterwards', async () => {
  const { worker, clock, failing, fold, work } = await withDeadLetter()
  await worker.stop()
  // It is built, and ends before it leads: the event is parked there, to be tried again.
  const building = await work(fold)
  await building.units[0]?.generations.reconcile()
  await building.request()
  await building.units[0]?.generations.reconcile()
  await building.building()
  expect(await discard(building, 1)).toBe(true)
  failing.clear()
  clock.now += 10_000
  await building.settle()
  expect(await building.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await building.read('ada')).toMatchObject({ balance: -2, moves: 1 })
  expect(await building.units[0]?.generations.view.discardedAfter(0, 9)).toMatchObject([
    { event: { position: 1 } },
  ])
  expect(await building.send()).toEqual(['balances:2:1'])
})

test('what is given up before a rebuild has come to it is not applied by the rebuild', async () => {
  const gate = Promise.withResolvers<void>()
  const { worker, failing } = await withDeadLetter({ gate: gate.promise })
  await worker.request()
  await worker.units[0]?.generations.reconcile()
  // The build has been begun.
  await new Promise(setImmediate)
  expect(await discard(worker, 1)).toBe(true)
  failing.clear()
  gate.resolve()
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await worker.read('ada')).toMatchObject({ balance: -2, moves: 1 })
})

test('what is given up where it is the first of its sequence stays given up where it waits behind another one', async () => {
  const { move, work, clock } = generations()
  const failing = new Set([-1])
  const worker = await work(balances({ fails: (_, amount) => failing.has(amount) }))
  await worker.request()
  await worker.settle()
  await move('ada', -1)
  await move('ada', -2)
  await worker.settle()
  const live = worker.units[0]?.generations
  failing.clear()
  failing.add(-2)
  // The second one is the first of the sequence in the generation that serves, and in no other.
  expect(await live?.retry(1)).toBe(1)
  expect(await live?.discard(2, 'eve', 'a test order')).toBe(true)
  failing.clear()
  clock.now += 10_000
  await worker.settle()
  expect(await worker.read('ada', 1)).toMatchObject({ balance: -1, moves: 1 })
  await worker.control.move('balances', 1, 'returning')
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'previous' })
  expect(await worker.read('ada')).toMatchObject({ balance: -1, moves: 1 })
  expect(await live?.view.discardedAfter(0, 9)).toMatchObject([{ event: { position: 2 } }])
})

test('a comparison with a fresh fold leaves out what was given up', async () => {
  const { worker, failing } = await withDeadLetter()
  expect(await discard(worker, 1)).toBe(true)
  failing.clear()
  await worker.settle()
  await worker.units[0]?.generations.redrive(2)
  await worker.settle()
  expect(await worker.read('ada')).toMatchObject({ balance: -2, moves: 1 })
  await worker.request({ purpose: 'verify' })
  await worker.settle()
  const verified = (await worker.control.projection('balances'))?.generations.at(-1)
  expect(verified).toMatchObject({ state: 'verified', report: { samePosition: true, changed: 0, added: 0 } })
})

test('a generation for inspection leaves out what was given up', async () => {
  const { worker, failing } = await withDeadLetter()
  expect(await discard(worker, 1)).toBe(true)
  failing.clear()
  await worker.request({ purpose: 'inspect', until: 2 })
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'side' })
  expect(await worker.read('ada', 2)).toMatchObject({ balance: -2, moves: 1 })
})

test('what is given up is recorded once, also where a generation goes back in time and meets it afterwards', async () => {
  const { move, work, clock } = generations()
  await move('bob', 5)
  const first = await work(balances())
  await first.settle()
  await first.stop()
  const later = await work({ ...balances({ fails: (account) => account === 'ada' }), version: 2 })
  await later.settle()
  await move('ada', -1)
  await later.settle()
  expect(await discard(later, 2)).toBe(true)
  await later.control.move('balances', 1, 'returning', { forced: true })
  await later.settle()
  await later.stop()
  const again = await work(balances())
  clock.now += 10_000
  await again.settle()
  expect(await again.position()).toBe(2)
  expect(await again.read('ada')).toBeUndefined()
  expect(await again.units[0]?.generations.view.discardedAfter(0, 9)).toMatchObject([
    { event: { position: 2 } },
  ])
})
