import fc from 'fast-check'
import { expect, test } from 'vitest'
import { generations, type Worker } from '../support/generations.ts'
import { balances, type Poison } from '../support/ledger-app.ts'

/** Whose events fail at the moment; a test changes it as code and data change in the world. */
function poison() {
  const accounts = new Set<string>()
  const fails: Poison['fails'] = (account) => accounts.has(account)
  return { accounts, fold: balances({ fails }) }
}

/** Lets `attempts` of what is parked pass. */
async function retry(worker: Worker, clock: { now: number }, attempts = 3) {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    clock.now += 10_000
    await worker.settle()
  }
}

async function rebuild(worker: Worker) {
  await worker.request()
  await worker.settle()
}

async function rollBack(worker: Worker) {
  const previous = Object.entries(await worker.states()).find(([, state]) => state === 'previous')
  expect(await worker.control.move('balances', Number(previous?.[0]), 'returning')).toBe(true)
  await worker.settle()
}

test('a rebuild sends nothing again, and neither does a rollback', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  for (let index = 0; index < 5; index += 1) await move('ada', -1)
  await worker.settle()
  expect(await worker.send()).toHaveLength(5)
  await rebuild(worker)
  expect(await worker.send()).toEqual([])
  await move('ada', -1)
  await worker.settle()
  expect(await worker.send()).toEqual(['balances:6:1'])
  await rollBack(worker)
  await move('ada', -1)
  await worker.settle()
  expect(await worker.send()).toEqual(['balances:7:1'])
})

test('what was parked, and is applied by the rebuild, is sent after the swap and not before', async () => {
  const { move, work, clock } = generations()
  const { accounts, fold } = poison()
  const worker = await work(fold)
  accounts.add('ada')
  await move('ada', -1)
  await worker.settle()
  await retry(worker, clock)
  accounts.clear()
  await rebuild(worker)
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await worker.send()).toEqual(['balances:1:1'])
  await retry(worker, clock)
  await rollBack(worker)
  expect(await worker.send()).toEqual([])
})

test('what was parked and applied before the swap after all is sent once, from where it was applied', async () => {
  const { move, work, clock } = generations()
  const { accounts, fold } = poison()
  const worker = await work(fold, { buildSteps: 5 })
  accounts.add('ada')
  await move('ada', -1)
  for (let index = 0; index < 20; index += 1) await move('bob', 1)
  await worker.settle()
  accounts.clear()
  await worker.request()
  await worker.coordinator.reconcile()
  await worker.units[0]?.generations.reconcile()
  await new Promise((resolve) => setTimeout(resolve, 50))
  // The build has applied it and keeps its effect back; now the active one applies it, too.
  clock.now += 10_000
  await worker.units[0]?.generations.retryDue()
  expect(await worker.send()).toEqual(['balances:1:1'])
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await worker.send()).toEqual([])
})

test('what the new generation parks, but the old one had applied, is not sent again when it succeeds', async () => {
  const { move, work, clock } = generations()
  const { accounts, fold } = poison()
  const worker = await work(fold)
  await move('ada', -1)
  await worker.settle()
  expect(await worker.send()).toEqual(['balances:1:1'])
  accounts.add('ada')
  await rebuild(worker)
  await move('ada', -1)
  await worker.settle()
  accounts.clear()
  await retry(worker, clock)
  expect(await worker.read('ada')).toMatchObject({ balance: -2 })
  expect(await worker.send()).toEqual(['balances:2:1'])
})

test('effects that are recorded and not sent, or dead, go over to the generation that takes their place', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  await move('ada', -1)
  await move('ada', -1)
  await worker.settle()
  const before = worker.units[0]?.generations.view
  await before?.effectFailed('balances:1:1', {
    attempts: 5,
    error: 'refused',
    at: '2026-01-01T00:00:00.000Z',
  })
  await rebuild(worker)
  const view = worker.units[0]?.generations.view
  expect(await view?.deadEffects(10)).toMatchObject([{ idempotencyKey: 'balances:1:1', error: 'refused' }])
  expect(await worker.send()).toEqual(['balances:2:1'])
  await rollBack(worker)
  expect(await worker.send()).toEqual([])
  expect(await view?.redriveEffects()).toMatchObject({ redriven: 1 })
  expect(await worker.send()).toEqual(['balances:1:1'])
})

test('effects that were taken over are sent once, though the control store could not note it at first', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  for (let index = 0; index < 3; index += 1) await move('ada', -1)
  await worker.settle()
  await worker.request()
  const { tookOver } = worker.control
  worker.control.tookOver = () => Promise.reject(new Error('The disk is full.'))
  const full = async () => {
    for (;;) await worker.tick()
  }
  await expect(full()).rejects.toThrow('The disk is full.')
  const sent = await worker.send()
  await move('ada', -1)
  for (const { generations } of worker.units) while ((await generations.step()) !== 'at-head');
  sent.push(...(await worker.send()))
  worker.control.tookOver = tookOver
  await worker.settle()
  sent.push(...(await worker.send()))
  expect(sent).toEqual([1, 2, 3, 4].map((position) => `balances:${position}:1`))
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
})

test('what an operator gave up stays given up in every generation, with the record of it', async () => {
  const { move, work, clock } = generations()
  const { accounts, fold } = poison()
  const worker = await work(fold)
  accounts.add('ada')
  await move('ada', -1)
  await move('bob', -1)
  await worker.settle()
  await retry(worker, clock)
  expect(await worker.units[0]?.generations.discard(1, 'eve', 'a test order')).toBe(true)
  accounts.clear()
  await rebuild(worker)
  await move('ada', 5)
  await worker.settle()
  expect(await worker.read('ada')).toMatchObject({ balance: 5, moves: 1 })
  expect(await worker.units[0]?.generations.view.discardedAfter(0, 9)).toMatchObject([
    { event: { position: 1 }, by: 'eve', reason: 'a test order' },
  ])
  expect(await worker.send()).toEqual(['balances:2:1'])
})

test('when the work is split otherwise each part takes over the effects of its own streams', async () => {
  const { move, work, clock } = generations()
  const { accounts, fold } = poison()
  const whole = await work(fold)
  accounts.add('ada')
  for (const account of ['ada', 'bob', 'cyd', 'dan', 'eve', 'fay']) await move(account, -1)
  await whole.settle()
  await whole.stop()
  accounts.clear()
  const split = await work({ ...fold, partitions: 3 })
  await split.settle()
  await retry(split, clock)
  expect(await split.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect((await split.send()).sort()).toEqual([1, 2, 3, 4, 5, 6].map((position) => `balances:${position}:1`))
})

/** What can happen, in any order. */
const action = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('move' as const),
      account: fc.constantFrom('ada', 'bob', 'cyd'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('poison' as const), account: fc.constantFrom('ada', 'bob') }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('cure' as const), account: fc.constantFrom('ada', 'bob') }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('tick' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('send' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('later' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rebuild' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

test('whatever comes between rebuilds and rollbacks, each effect is sent exactly once', async () => {
  const scenario = async (actions: readonly (typeof action extends fc.Arbitrary<infer T> ? T : never)[]) => {
    const { move, work, clock } = generations()
    const { accounts, fold } = poison()
    let worker = await work(fold)
    const sent: string[] = []
    let moves = 0
    for (const one of actions) {
      if (one.kind === 'move') {
        moves += 1
        await move(one.account, -1)
      } else if (one.kind === 'poison') accounts.add(one.account)
      else if (one.kind === 'cure') accounts.delete(one.account)
      else if (one.kind === 'tick') await worker.tick()
      else if (one.kind === 'send') sent.push(...(await worker.send()))
      else if (one.kind === 'later') clock.now += 10_000
      else if (one.kind === 'rebuild') await worker.request()
      else if (one.kind === 'rollback') {
        const previous = Object.entries(await worker.states()).find(([, state]) => state === 'previous')
        if (previous) await worker.control.move('balances', Number(previous[0]), 'returning')
      } else {
        await worker.stop()
        worker = await work(fold)
      }
    }
    accounts.clear()
    for (let round = 0; round < 4; round += 1) {
      await worker.settle()
      const view = worker.units[0]?.generations.view
      for (const { event } of (await view?.letters({ after: 0, limit: 100 })) ?? []) {
        await worker.units[0]?.generations.redrive(event.position)
      }
      clock.now += 10_000
    }
    sent.push(...(await worker.send()))
    await worker.stop()
    const expected = Array.from({ length: moves }, (_, index) => `balances:${index + 1}:1`)
    expect(sent.sort()).toEqual(expected.sort())
  }
  await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), scenario), {
    numRuns: 40,
  })
}, 120_000)
