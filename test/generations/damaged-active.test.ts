import { copyFileSync, rmSync } from 'node:fs'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { damageView } from '../support/damage-view.ts'
import {
  generationOf,
  plainBalances,
  SEVENTH,
  stoppedView,
  swappedAndDied,
} from '../support/damaged-generations.ts'
import { balances } from '../support/ledger-app.ts'

/*
 * The generation that serves is damaged: that stops the reading of it, and nothing else; a rebuild takes its place.
 */

test.each(['document', 'document page', 'index page', 'header page', 'cut'] as const)(
  'a rebuild takes the place of a view with a damaged %s, and says what it found',
  async (kind) => {
    const { work, move, file, clock } = await stoppedView(plainBalances())
    damageView(file(1), kind, SEVENTH)
    const worker = await work(plainBalances())
    await worker.settle()
    await move('account-8', 1)
    await worker.settle()
    await worker.request()
    await worker.settle()
    expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
    expect([await worker.position(), await worker.read('account-7')]).toEqual([
      201,
      expect.objectContaining({ moves: 1 }),
    ])
    const report = (await generationOf(worker, 2))?.report
    if (kind === 'document') {
      // All else is compared: an operator sees which one it was.
      expect(report).toMatchObject({
        kind: 'compared',
        damaged: 1,
        changed: 1,
        examples: [{ key: 'account-7', damaged: true, after: { balance: 1 } }],
      })
    } else expect(report).toMatchObject({ kind: 'damaged', side: 'before', file: file(1) })

    // What serves goes on beside the damaged one, which cannot come back, and can be removed.
    await move('account-7', 1)
    await worker.settle()
    expect(await worker.read('account-7')).toMatchObject({ moves: 2 })
    if (kind !== 'document' && kind !== 'index page' && kind !== 'document page') {
      clock.now += 1_000
      await worker.control.move('balances', 1, 'returning')
      await worker.settle()
      expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
      expect((await generationOf(worker, 1))?.error).toMatch(/Its own file .* is damaged/)
    }
    await worker.control.move('balances', 1, 'pruning')
    await worker.settle()
    expect([await worker.states(), worker.files()]).toEqual([{ 2: 'active' }, ['balances.2.db']])
  },
)

test('a rebuild takes the place of a reactor that a damaged document holds up', async () => {
  const { work, move, file } = await stoppedView(balances())
  damageView(file(1), 'document', SEVENTH)
  const worker = await work(balances())
  await move('account-7', -1)
  await worker.settle()
  expect(await worker.position()).toBe(200)
  await worker.request()
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await worker.position()).toBe(201)
})

test('where parity is required nothing takes the place of a damaged view, and the error says what to do', async () => {
  const { work, file } = await stoppedView(plainBalances())
  damageView(file(1), 'document page')
  const worker = await work(plainBalances())
  await worker.request({ requireParity: true })
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'failed' })
  expect((await generationOf(worker, 2))?.error).toMatch(
    /damaged in .*balances\.1\.db.*"cqrs rebuild balances", without --require-parity/s,
  )
})

test('a verification tells that the view is damaged, and leaves no file', async () => {
  const { work, file } = await stoppedView(plainBalances())
  damageView(file(1), 'index page')
  const worker = await work(plainBalances())
  await worker.request({ purpose: 'verify' })
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'verified' })
  expect((await generationOf(worker, 2))?.report).toMatchObject({ kind: 'damaged', side: 'before' })
  expect(worker.files()).toEqual(['balances.1.db'])
})

test.each([
  ['document', { kind: 'compared', changed: 1, removed: 0, added: 0, damaged: 1 }],
  ['document page', { kind: 'damaged', side: 'before' }],
] as const)(
  'a reactor with a damaged %s is built anew: what it had not sent is sent once, the rest not again',
  async (kind, report) => {
    const { work, move, file } = await stoppedView(balances(), { amount: -1 })
    const first = await work(balances())
    await first.settle()
    expect(await first.send()).toHaveLength(200)
    await move('account-3', -1)
    await first.settle()
    await first.stop()
    damageView(file(1), kind, SEVENTH)

    const worker = await work(balances())
    await worker.settle()
    await worker.request()
    await worker.settle()
    expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
    expect((await generationOf(worker, 2))?.report).toMatchObject(report)
    await move('account-4', -1)
    await worker.settle()
    expect(await worker.send()).toEqual(['balances:201:1', 'balances:202:1'])
  },
)

test.each(['header page', 'effects page'] as const)(
  'nothing takes the place of a reactor with a damaged %s, until an operator lets go of what it owed',
  async (kind) => {
    const { work, file } = await stoppedView(balances(), { amount: -1 })
    damageView(file(1), kind)
    const worker = await work(balances())
    await worker.settle()
    await worker.request()
    await worker.settle()
    expect(await worker.states()).toEqual({ 1: 'active', 2: 'failed' })
    expect((await generationOf(worker, 2))?.error).toMatch(
      /effects that balances has not sent yet cannot be read: .*balances\.1\.db is damaged.* move the file away .* under the same keys/s,
    )
    await worker.stop()

    for (const suffix of ['', '-wal', '-shm']) rmSync(file(1) + suffix, { force: true })
    const again = await work(balances())
    await again.settle()
    expect(await again.position()).toBe(200)
    expect(await again.send()).toHaveLength(200)
  },
)

test('a generation that is damaged before it took over from the one before does not keep the next one from that', async () => {
  const { work, file } = await stoppedView(plainBalances())
  const before = await work(plainBalances())
  await before.settle()
  await swappedAndDied(before)
  damageView(file(2), 'header page')

  const worker = await work(plainBalances())
  await worker.request()
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'retired', 2: 'previous', 3: 'active' })
})

/** What the damaged generation had not sent is not in the one that serves now, whose worker has died before it took that over. */
async function lostBeforeTakeOver(lose: (file: string) => void) {
  const world = await stoppedView(balances(), { amount: -1 })
  const before = await world.work(balances())
  await before.settle()
  await swappedAndDied(before)
  const kept = `${world.file(1)}.kept`
  copyFileSync(world.file(1), kept)
  lose(world.file(1))
  const lines: string[] = []
  const log = pino({ level: 'error' }, { write: (line) => void lines.push(JSON.parse(line).msg) })
  return {
    ...world,
    remove: (generation: number) => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(world.file(generation) + suffix, { force: true })
    },
    putBack: () => copyFileSync(kept, world.file(1)),
    lines,
    next: () => world.work(balances(), { log }),
  }
}

const LOSSES = [
  ['effects page', (file: string) => damageView(file, 'effects page')],
  ['header page', (file: string) => damageView(file, 'header page')],
  ['file, which is gone', (file: string) => rmSync(file)],
] as const

test.each(LOSSES)(
  'a reactor that cannot take over from a damaged %s stands still, says so once, and loses nothing',
  async (_, lose) => {
    const { move, next, lines, putBack, file } = await lostBeforeTakeOver(lose)
    await move('account-1', -1)
    const worker = await next()
    for (let look = 0; look < 5; look += 1) await worker.settle()
    expect([await worker.position(), await worker.send()]).toEqual([200, []])
    expect(lines).toContain('The view is damaged; it goes on as far as it can')
    expect(lines, 'nothing is said twice').toEqual([...new Set(lines)])
    const [unit] = worker.units
    expect(await unit?.generations.isStale()).toBe(false)
    expect((await generationOf(worker, 2))?.parts[0]?.error).toMatch(
      new RegExp(
        `not sent yet cannot be taken over: ${file(1)} .*Put back a sound copy of it\\. .* move ${file(2)} away`,
      ),
    )
    await worker.stop()

    putBack()
    const again = await next()
    await again.settle()
    expect([await again.position(), (await again.send()).length]).toEqual([201, 201])
    expect((await generationOf(again, 2))?.parts[0]?.error).toBeUndefined()
  },
)

test.each(LOSSES)(
  'what a damaged %s owed is let go of with the file of the generation that serves: all effects are sent again',
  async (_, lose) => {
    const { next, remove } = await lostBeforeTakeOver(lose)
    const worker = await next()
    await worker.settle()
    await worker.stop()
    remove(2)
    const again = await next()
    await again.settle()
    expect([await again.position(), (await again.send()).length]).toEqual([200, 200])
    await again.request()
    await again.settle()
    expect((await again.states())[3]).toBe('active')
  },
)

test('of a view whose parts are split the others go on beside a damaged one', async () => {
  const { work, move, file } = await stoppedView(plainBalances(3))
  damageView(file(1), 'header page')
  const worker = await work(plainBalances(3))
  await Promise.all(Array.from({ length: 60 }, (_, index) => move(`account-${index}`, 1)))
  await worker.settle()
  const moved = await Promise.all(worker.units.map(({ generations }) => generations.position()))
  expect(moved).toEqual([0, 260, 260])
  await worker.request()
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await worker.position()).toBe(260)
})

test('a later version of the code is built beside a view that cannot be opened', async () => {
  const { work, file } = await stoppedView(plainBalances())
  damageView(file(1), 'header page')
  const worker = await work({ ...plainBalances(), version: 2 })
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await worker.position()).toBe(200)
})
