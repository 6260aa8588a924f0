import { expect, test } from 'vitest'
import { CqrsError } from '../../src/kernel/errors.ts'
import type { RecordedEvent } from '../../src/kernel/event.ts'
import type { ViewChange } from '../../src/projection/contract.ts'
import type { Projector } from '../../src/projection/projector.ts'
import { ViewDecorator } from '../../src/projection/view-decorator.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'

/** Fails for one account until it is cured. */
function poisoned(account: string) {
  const state = { ill: true }
  return { state, projection: balances({ fails: (name) => name === account && state.ill }) }
}

test('a failing event parks its own sequence, in order; all others go on', async () => {
  const { projection } = poisoned('ada')
  const { move, projector, document, view } = ledger(projection)
  for (const account of ['ada', 'bob', 'ada', 'bob', 'ada']) await move(account, 1)
  await toHead(projector({ batchSize: 2 }))
  expect(await document('bob')).toMatchObject({ balance: 2 })
  expect(await document('ada')).toBeUndefined()
  const parked = await view.sequence('ada', 10)
  expect(parked.map(({ position, status, attempts }) => [position, status, attempts])).toEqual([
    [1, 'retrying', 1],
    [3, 'waiting', 0],
    [5, 'waiting', 0],
  ])
  expect((await view.checkpoint()).position).toBe(5)
})

test('a parked event is tried again when it is due, with growing delays, and is dead in the end', async () => {
  const { projection } = poisoned('ada')
  const { move, projector, view, clock } = ledger(projection)
  await move('ada', 1)
  const runner = projector()
  await toHead(runner)
  const [first] = await view.sequence('ada', 1)
  expect(first).toMatchObject({ attempts: 1, dueAt: clock.now + 75 })
  await runner.retryDue()
  expect((await view.sequence('ada', 1))[0]).toMatchObject({ attempts: 1 })

  clock.now += 75
  await runner.retryDue()
  expect((await view.sequence('ada', 1))[0]).toMatchObject({
    attempts: 2,
    status: 'retrying',
    dueAt: clock.now + 150,
  })

  clock.now += 150
  await runner.retryDue()
  expect((await view.sequence('ada', 1))[0]).toMatchObject({ attempts: 3, status: 'dead' })
  expect((await view.sequence('ada', 1))[0]?.failures.map(({ message }) => message)).toEqual(
    Array(3).fill('cannot apply 1'),
  )
  clock.now += 1_000_000
  expect(await runner.retryDue()).toBe(0)
})

/** A view of which one read fails, the first one after a parked event was settled. */
class FailsAfterSettling extends ViewDecorator {
  #fails = false

  override async commit(change: ViewChange) {
    const outcome = await super.commit(change)
    this.#fails = change.settled.length > 0
    return outcome
  }

  override async sequence(sequence: string, limit: number) {
    const fails = this.#fails
    this.#fails = false
    if (fails) throw new CqrsError('CQRS_STORE_UNAVAILABLE', 'The disk fails.')
    return super.sequence(sequence, limit)
  }
}

test.each([
  { settles: 'a retry', settle: (live: Projector) => live.retry(1) },
  { settles: 'a discard', settle: (live: Projector) => live.discard(1, 'eve', 'a test') },
])('what comes after $settles is applied, though the disk fails just behind that', async ({ settle }) => {
  const { projection, state } = poisoned('ada')
  const { move, projector, view } = ledger(projection)
  await move('ada', 1)
  const live = projector({ view: new FailsAfterSettling(view) })
  await toHead(live)
  state.ill = false
  // Whether it says so or not: it is stored.
  await settle(live).catch(() => undefined)
  await move('ada', 1)
  await toHead(live)
  expect(await view.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
})

test('when the cause is gone the whole sequence is applied, in order, and live again', async () => {
  const { projection, state } = poisoned('ada')
  const { move, projector, document, view, clock } = ledger(projection)
  for (const amount of [1, 20, 300]) await move('ada', amount)
  const live = projector()
  await toHead(live)
  state.ill = false
  clock.now += 1_000
  expect(await live.retryDue()).toBe(3)
  expect(await document('ada')).toEqual({ account: 'ada', balance: 321, moves: 3 })
  expect(await view.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
  await move('ada', 4_000)
  await toHead(live)
  expect(await document('ada')).toMatchObject({ balance: 4_321 })
})

test('a long sequence whose cause is gone is applied in parts, and holds up no other one meanwhile', async () => {
  const { projection, state } = poisoned('ada')
  const { move, projector, document, view, clock } = ledger(projection)
  for (let n = 0; n < 9; n += 1) await move('ada', 1)
  const live = projector({ retriesAtOnce: 4 })
  await toHead(live)
  state.ill = false
  clock.now += 1_000
  expect(await live.retryDue()).toBe(4)
  expect(await view.parkedCounts()).toEqual({ retrying: 1, dead: 0, waiting: 4 })
  await move('bob', 7)
  await move('ada', 1)
  await toHead(live)
  expect(await document('bob')).toMatchObject({ balance: 7 })
  // An operator's redrive goes on where it stands, and the next look finds the rest due.
  const [head] = await view.sequence('ada', 1)
  expect(await live.redrive(head?.position ?? 0)).toBe(true)
  expect(await live.retry(head?.position ?? 0)).toBe(4)
  expect(await view.nextDueAt()).toBeLessThanOrEqual(clock.now)
  expect([await live.retryDue(), await live.retryDue()]).toEqual([2, 0])
  expect(await document('ada')).toEqual({ account: 'ada', balance: 10, moves: 10 })
  expect(await view.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
})

test('attempts survive a new projector', async () => {
  const { projection } = poisoned('ada')
  const { move, projector, view, clock } = ledger(projection)
  await move('ada', 1)
  await toHead(projector())
  clock.now += 1_000
  await projector().retryDue()
  clock.now += 1_000
  await projector().retryDue()
  expect((await view.sequence('ada', 1))[0]).toMatchObject({ attempts: 3, status: 'dead' })
})

test('a dead event that is redriven is applied, and what waited behind it follows', async () => {
  const { projection, state } = poisoned('ada')
  const { move, projector, document, clock, view } = ledger(projection)
  await move('ada', 1)
  await move('ada', 2)
  const live = projector({ policy: { maxAttempts: 1, baseMs: 1, capMs: 1 } })
  await toHead(live)
  expect(await view.parkedCounts()).toMatchObject({ dead: 1, waiting: 1 })
  state.ill = false
  expect(await live.redrive(2)).toBe(false)
  expect(await live.redrive(1)).toBe(true)
  clock.now += 1
  await live.retryDue()
  expect(await document('ada')).toMatchObject({ balance: 3 })
  expect(await live.redrive(1)).toBe(false)
})

test('a redrive that fails again stops at the first failure', async () => {
  const { projection } = poisoned('ada')
  const { move, projector, view } = ledger(projection)
  await move('ada', 1)
  await move('ada', 2)
  const live = projector({ policy: { maxAttempts: 1, baseMs: 1, capMs: 1 } })
  await toHead(live)
  await live.redrive(1)
  await live.retryDue()
  expect((await view.sequence('ada', 9)).map(({ status }) => status)).toEqual(['dead', 'waiting'])
})

test('a discarded event is gone, with who and why; the next one is tried', async () => {
  const { projection, state } = poisoned('ada')
  const { move, projector, document, view } = ledger(projection)
  await move('ada', 1)
  await move('ada', 2)
  const live = projector({ policy: { maxAttempts: 1, baseMs: 1, capMs: 1 } })
  await toHead(live)
  state.ill = false
  expect(await live.discard(1, 'ops@example.org', 'a typing error')).toBe(true)
  await live.retryDue()
  expect(await document('ada')).toMatchObject({ balance: 2, moves: 1 })
  expect(await live.discard(1, 'ops@example.org', 'again')).toBe(false)
  expect(await view.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
})

test.each([
  ['does not parse', 'moved', { account: 'ada', amount: 'much' }, 1],
  ['is of a newer version', 'moved', { account: 'ada', amount: 1 }, 2],
])('a stored event that %s parks and never stops the view', async (_, type, data, version) => {
  const { appendRaw, move, projector, document, view } = ledger()
  await appendRaw('ada', 0, type, data, version)
  await move('ada', 5)
  await move('bob', 5)
  await toHead(projector())
  expect(await document('bob')).toMatchObject({ balance: 5 })
  expect(await view.parkedCounts()).toEqual({ retrying: 1, dead: 0, waiting: 1 })
})

test('a key that a store would not return unchanged parks its event, instead of finding the document of another key', async () => {
  const { appendRaw, projector, document, view } = ledger()
  for (const half of ['\ud800', '\ud801']) {
    await appendRaw(`stream ${half.charCodeAt(0)}`, 0, 'moved', { account: half, amount: 1 })
  }
  await toHead(projector())
  expect(await document('\ufffd')).toBeUndefined()
  expect(await view.parkedCounts()).toEqual({ retrying: 2, dead: 0, waiting: 0 })
  expect((await view.parkedEvent(1))?.failures[0]?.message).toBe(
    'key() returned "\\ud800", which contains half a character (an unpaired surrogate)',
  )
})

test('a sequence is kept in order by the next process, whatever characters its name has', async () => {
  const failing = { ...balances({ fails: (account) => account === 'ada' }), sequence: () => 'half \ud800' }
  const { move, projector, document, view } = ledger(failing)
  await move('ada', 1)
  await toHead(projector())
  await move('bob', 1)
  await toHead(projector())
  expect(await document('bob')).toBeUndefined()
  expect(await view.parkedCounts()).toEqual({ retrying: 1, dead: 0, waiting: 1 })
})

test('an unreadable event whose data does not name its sequence holds back its stream, and no other events', async () => {
  const byAccount = {
    ...balances(),
    sequence: ({ data }: RecordedEvent) => (data as { account: string }).account,
  }
  const { appendRaw, move, projector, document, view } = ledger(byAccount)
  await appendRaw('ada', 0, 'moved', { name: 'ada' })
  await appendRaw('bob', 0, 'moved', { name: 'bob' })
  await move('ada', 5)
  await toHead(projector())
  expect((await view.sequence('ada', 10)).map(({ position }) => position)).toEqual([1, 3])
  expect(await view.parkedCounts()).toEqual({ retrying: 2, dead: 0, waiting: 1 })
  expect(await document('ada')).toBeUndefined()
})
