import { expect, test } from 'vitest'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

test('after a forced rollback a third version takes the place, though the one returned to never ran', async () => {
  const { move, work } = generations()
  const first = await work(balances())
  for (let index = 0; index < 5; index += 1) await move('ada', -1)
  await first.settle()
  await first.send()
  await first.stop()
  const second = await work({ ...balances(), version: 2 })
  await second.settle()
  await move('ada', -1)
  await second.settle()
  expect(await second.control.move('balances', 1, 'returning', { forced: true })).toBe(true)
  await second.settle()
  expect(await second.states()).toEqual({ 1: 'active', 2: 'previous' })
  await second.stop()
  const third = await work({ ...balances(), version: 3 })
  await third.settle()
  expect(await third.states()).toMatchObject({ 1: 'previous', 3: 'active' })
  await move('ada', -1)
  await third.settle()
  expect(await third.send()).toEqual(['balances:6:1', 'balances:7:1'])
})

test('a rebuild that is under way when a rollback swaps keeps back what the returned generation owes', async () => {
  const { move, work, clock } = generations()
  const failing = new Set(['ada'])
  const fold = balances({ fails: (account) => failing.has(account) })
  const before = await work(fold)
  await move('ada', -1)
  for (let attempt = 0; attempt < 4; attempt += 1) {
    await before.settle()
    clock.now += 10_000
  }
  failing.clear()
  await before.request()
  await before.settle()
  const sent = await before.send()
  await before.stop()

  const gate = Promise.withResolvers<void>()
  const worker = await work(fold, { gate: gate.promise })
  const live = worker.units[0]?.generations
  await live?.reconcile()
  await worker.request()
  await live?.reconcile()
  await worker.control.move('balances', 1, 'returning')
  const round = async () => {
    await worker.coordinator.reconcile()
    await live?.reconcile()
    while ((await live?.step()) !== 'at-head');
  }
  while ((await worker.states())[1] !== 'active') await round()
  // It waits behind the first event where that is dead, and there only.
  await move('ada', -7)
  await round()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'previous', 3: 'building' })
  gate.resolve()
  await worker.settle()
  sent.push(...(await worker.send()))
  expect(await worker.states()).toMatchObject({ 3: 'active' })
  expect(await worker.read('ada')).toMatchObject({ balance: -8 })
  expect(sent).toEqual(['balances:1:1', 'balances:2:1'])
})

test('a generation is not pruned before all parts have taken over what it leaves', async () => {
  const { move, work } = generations()
  const before = await work(balances())
  for (const account of ['a', 'b', 'c', 'd', 'e', 'f']) await move(account, -1)
  await before.settle()
  await before.stop()
  const worker = await work({ ...balances(), partitions: 2 })
  for (;;) {
    await worker.coordinator.reconcile()
    if ((await worker.states())[2] === 'active') break
    for (const { generations } of worker.units) await generations.reconcile()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await worker.units[0]?.generations.reconcile()
  expect(await worker.control.move('balances', 1, 'pruning')).toBe(false)
  await worker.settle()
  expect(await worker.send()).toHaveLength(6)
  expect(await worker.control.move('balances', 1, 'pruning')).toBe(true)
})

test('a rebuild that leads in part when a forced rollback swaps is done all the same', async () => {
  const { move, work } = generations()
  const first = await work({ ...balances(), partitions: 2 })
  for (const account of ['a', 'b', 'c', 'd']) await move(account, -1)
  await first.settle()
  await first.request()
  await first.settle()
  await first.stop()
  const second = await work({ ...balances(), partitions: 2, version: 2 })
  await second.coordinator.reconcile()
  await second.units[0]?.generations.reconcile()
  const parts = async () => (await second.control.projection('balances'))?.generations.at(-1)?.parts
  await expect.poll(parts).toMatchObject([{ leading: true }, { leading: false }])
  await second.control.move('balances', 1, 'returning', { forced: true })
  await second.settle()
  expect(await second.states()).toEqual({ 1: 'previous', 2: 'retired', 3: 'active' })
})
