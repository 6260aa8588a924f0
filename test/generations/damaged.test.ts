import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { damageView } from '../support/damage-view.ts'
import { generationOf, plainBalances, SEVENTH, stoppedView } from '../support/damaged-generations.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

/** A view with a rebuild that has gone so far; its process has ended. */
async function rebuilt(until: 'it leads' | 'it serves') {
  const world = generations()
  const accounts = new Set<string>()
  const fold = balances({ fails: (account) => accounts.has(account) })
  for (const account of ['ada', 'bob', 'eve']) await world.move(account, -1)
  const worker = await world.work(fold)
  await worker.settle()
  await worker.send()
  await worker.request()
  if (until === 'it leads') for (let index = 0; index < 3; index += 1) await worker.moveUnits()
  else await worker.settle()
  await worker.stop()
  const path = (generation: number) => join(world.data, 'views', `balances.${generation}.db`)
  return { ...world, accounts, path, next: () => world.work(fold) }
}

/** Changes a byte of a document. */
const damage = (path: string) => damageView(path, 'document', '{"account":"ada"')

test('a damaged generation that is kept for a rollback holds up neither events nor retries nor effects', async () => {
  const { move, next, accounts, clock, path } = await rebuilt('it serves')
  damage(path(1))
  const worker = await next()
  accounts.add('eve')
  await move('eve', -1)
  await move('ada', -1)
  await worker.settle()
  expect([await worker.position(), await worker.send()]).toEqual([5, ['balances:5:1']])
  accounts.clear()
  clock.now += 10_000
  await worker.settle()
  expect(await worker.send()).toEqual(['balances:4:1'])
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
})

test('a rollback to a damaged generation is called off, and what serves goes on', async () => {
  const { move, next, path } = await rebuilt('it serves')
  damage(path(1))
  const worker = await next()
  await worker.control.move('balances', 1, 'returning')
  await move('ada', -1)
  await worker.settle()
  expect([await worker.position(), await worker.send()]).toEqual([4, ['balances:4:1']])
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect((await generationOf(worker, 1))?.error).toMatch(/Its own file .*balances\.1\.db is damaged/)
})

test.for(['opened', 'moved'] as const)(
  'a generation that could not be %s once goes on a little later',
  { timeout: 20_000 },
  async (what) => {
    const { move, next, path, clock } = await rebuilt('it serves')
    const worker = await next()
    if (what === 'moved') await worker.settle()
    const lock = new DatabaseSync(path(1))
    lock.exec('BEGIN IMMEDIATE')
    await move('bob', -1)
    await worker.settle()
    lock.close()
    expect([await worker.position(), await worker.send()]).toEqual([4, ['balances:4:1']])
    clock.now += 1_000
    await worker.settle()
    expect(await worker.read('bob', 1)).toMatchObject({ balance: -2 })
  },
)

test('a damaged generation that leads fails, and what serves goes on', async () => {
  const { move, next, path } = await rebuilt('it leads')
  damage(path(2))
  const worker = await next()
  expect((await worker.control.projection('balances'))?.generations[1]?.parts[0]?.leading).toBe(true)
  await move('ada', -1)
  await worker.moveUnits()
  expect([await worker.position(), await worker.send()]).toEqual([4, ['balances:4:1']])
  expect(await generationOf(worker, 2)).toMatchObject({
    state: 'failed',
    error: expect.stringContaining('balances.2.db is damaged'),
  })
})

test('a generation that leads and cannot be opened at the moment falls behind, and what serves goes on', async () => {
  const { move, next, path } = await rebuilt('it leads')
  rmSync(path(2))
  mkdirSync(path(2))
  const worker = await next()
  await move('ada', -1)
  await worker.moveUnits()
  expect([await worker.position(), await worker.send()]).toEqual([4, ['balances:4:1']])
  expect(await generationOf(worker, 2)).toMatchObject({
    state: 'building',
    parts: [{ leading: false, phase: 'waiting' }],
  })
})

test('a process begins although the generation that is kept for a rollback cannot be opened', async () => {
  const { move, next, path } = await rebuilt('it serves')
  writeFileSync(path(1), 'not what it was'.repeat(1_000))
  const worker = await next()
  await move('ada', -1)
  await worker.settle()
  expect([await worker.position(), await worker.send()]).toEqual([4, ['balances:4:1']])
  await worker.request()
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'retired', 2: 'previous', 3: 'active' })
})

test.each(['document', 'index page', 'header page'] as const)(
  'a generation with a damaged %s fails before it serves, and holds up nothing',
  async (kind) => {
    const { work, move, file } = await stoppedView(plainBalances())
    const builder = await work(plainBalances())
    await builder.settle()
    await builder.request()
    // It leads, so that the one that serves waits for it; and is not compared yet.
    for (let step = 0; step < 3; step += 1) await builder.moveUnits()
    expect((await generationOf(builder, 2))?.parts[0]).toMatchObject({ phase: 'following', leading: true })
    await builder.stop()
    damageView(file(2), kind, SEVENTH)

    const worker = await work(plainBalances())
    // Nobody needs what is damaged: every page and every document is looked at nevertheless.
    await worker.settle()
    expect(await worker.states()).toEqual({ 1: 'active', 2: 'failed' })
    expect((await generationOf(worker, 2))?.error).toMatch(/Its own file .*balances\.2\.db is damaged/)
    await move('account-7', 5)
    await worker.settle()
    expect(await worker.read('account-7')).toMatchObject({ balance: 6 })
    await worker.request()
    await worker.settle()
    expect(await worker.states()).toEqual({ 1: 'previous', 2: 'failed', 3: 'active' })
  },
)

test('a build whose own file is damaged fails, and is not begun again and again', async () => {
  const { work, file } = await stoppedView(plainBalances())
  const builder = await work(plainBalances(), { buildSteps: 8 })
  await builder.settle()
  await builder.request()
  await builder.settle()
  await builder.stop()
  damageView(file(2), 'header page')
  const worker = await work(plainBalances())
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'failed' })
  expect((await generationOf(worker, 2))?.error).toMatch(/Its own file .* is damaged/)
})

test.each(['document page', 'header page'] as const)(
  'a previous generation with a damaged %s holds up neither the active one nor its effects',
  async (kind) => {
    const { work, move, file } = await stoppedView(balances())
    const before = await work(balances())
    await before.settle()
    await before.request()
    await before.settle()
    expect(await before.states()).toEqual({ 1: 'previous', 2: 'active' })
    await before.stop()
    damageView(file(1), kind, SEVENTH)

    const worker = await work(balances())
    await Promise.all(Array.from({ length: 200 }, (_, index) => move(`account-${index}`, -2)))
    await worker.settle()
    expect(await worker.position()).toBe(400)
    expect(await worker.send()).toHaveLength(200)
    expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  },
)
