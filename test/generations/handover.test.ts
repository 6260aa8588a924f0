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

test('after a forced rollback to another split a third version takes the place', async () => {
  const { move, work } = generations()
  const first = await work(balances())
  for (const account of ['a', 'b', 'c', 'd']) await move(account, -1)
  await first.settle()
  const sent = await first.send()
  await first.stop()
  const second = await work({ ...balances(), version: 2, partitions: 2 })
  await second.settle()
  await move('e', -1)
  await second.settle()
  await second.control.move('balances', 1, 'returning', { forced: true })
  await second.settle()
  expect(await second.states()).toEqual({ 1: 'active', 2: 'previous' })
  await second.stop()
  const third = await work({ ...balances(), version: 3, partitions: 2 })
  await third.settle()
  expect(await third.states()).toMatchObject({ 1: 'previous', 3: 'active' })
  await move('f', -1)
  await third.settle()
  sent.push(...(await third.send()))
  expect(sent.sort()).toEqual([1, 2, 3, 4, 5, 6].map((position) => `balances:${position}:1`))
})

test.each([
  { was: 1, becomes: 3, diesAs: 'building' },
  { was: 1, becomes: 3, diesAs: 'ready' },
  { was: 3, becomes: 1, diesAs: 'ready' },
  { was: 3, becomes: 2, diesAs: 'building' },
  { was: 3, becomes: 2, diesAs: 'ready' },
])(
  'code of $was parts that takes over from a rebuild of $becomes parts that died $diesAs is not undone by its swap',
  async ({ was, becomes, diesAs }) => {
    const { move, work } = generations()
    const old = { ...balances(), partitions: was }
    const first = await work(old)
    for (const account of ['a', 'b', 'c', 'd', 'e', 'f']) await move(account, -1)
    await first.settle()
    const sent = await first.send()
    await first.stop()

    const code = { ...balances(), version: 2, partitions: becomes }
    const dying = await work(code)
    await dying.coordinator.reconcile()
    for (let part = 0; part < becomes - Number(diesAs === 'building'); part += 1) {
      await dying.units[part]?.generations.reconcile()
      const leads = async () =>
        (await dying.control.projection('balances'))?.generations[1]?.parts[part]?.leading
      await expect.poll(leads).toBe(true)
    }
    await dying.coordinator.reconcile()
    expect((await dying.states())[2]).toBe(diesAs)
    await dying.stop()

    const again = await work(old)
    for (const account of ['a', 'b', 'c', 'd', 'e', 'f']) await move(account, -1)
    await again.settle()
    expect([await again.position(), await again.states()]).toEqual([12, { 1: 'active', 2: 'building' }])
    sent.push(...(await again.send()))
    expect(sent).toHaveLength(12)
    await move('a', -1)
    await again.settle()
    await again.stop()

    const last = await work(code)
    for (let before = 13; (await last.states())[2] !== 'active'; ) {
      await last.tick()
      expect(await last.position()).toBeGreaterThanOrEqual(before)
      before = await last.position()
    }
    await move('b', -1)
    await last.settle()
    expect(await last.position()).toBe(14)
    sent.push(...(await last.send()))
    expect(new Set(sent).size).toBe(14)
    expect(sent).toHaveLength(14)
    expect(await last.read('a')).toMatchObject({ balance: -3, moves: 3 })
  },
)

test('a view whose partitions are changed back in the same version is built anew as well', async () => {
  const { move, work } = generations()
  for (const partitions of [1, 3, 1, 2]) {
    const worker = await work({ ...balances(), partitions })
    await move('a', 1)
    await worker.settle()
    expect(await worker.position()).toBe(((await worker.read('a')) as { moves: number }).moves)
    const state = await worker.control.projection('balances')
    expect(state?.generations.find((one) => one.state === 'active')).toMatchObject({ partitions })
    await worker.stop()
  }
})

test('a build of another split of the same version is given up by the code at work, and begun anew by its own', async () => {
  const { move, work } = generations()
  const whole = await work(balances())
  await move('a', 1)
  await whole.settle()
  await whole.stop()
  const split = await work({ ...balances(), partitions: 3 })
  await split.coordinator.reconcile()
  await split.units[0]?.generations.reconcile()
  await split.stop()
  const other = await work({ ...balances(), partitions: 2 })
  await other.settle()
  expect(await other.states()).toEqual({ 1: 'previous', 3: 'active' })
  await other.stop()
  const last = await work({ ...balances(), partitions: 3 })
  await last.settle()
  expect(await last.states()).toMatchObject({ 3: 'previous', 4: 'active' })
})
