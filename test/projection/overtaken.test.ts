import { expect, test } from 'vitest'
import type { ViewStore } from '../../src/projection/contract.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'

/** A view that does something else before it answers a call for the first time. */
function interrupted(
  view: ViewStore,
  call: 'parkedEvent' | 'dueEvents',
  meanwhile: () => Promise<unknown>,
): ViewStore {
  let done = false
  const original = view[call].bind(view) as (...given: unknown[]) => Promise<unknown>
  return Object.assign(view, {
    async [call](...given: unknown[]) {
      const answer = await original(...given)
      if (!done) {
        done = true
        await meanwhile()
      }
      return answer
    },
  })
}

/** Two sequences with a failed event each, whose handlers are well again, and two processes on the view. */
async function twoProcesses(meanwhile: 'retries' | 'discards') {
  const ill = new Set(['ada', 'bob'])
  const world = ledger(balances({ fails: (account) => ill.has(account) }))
  await world.move('ada', -1)
  await world.move('bob', -10)
  await world.move('ada', -100)
  await world.move('ada', -1_000)
  const other = world.projector()
  await toHead(other)
  ill.clear()
  world.clock.now += 1_000
  const interruption = async () => {
    if (meanwhile === 'retries') await other.retryDue()
    else await other.discard(1, 'ada', 'does not matter')
  }
  return {
    ...world,
    /** A process that is overtaken right after it has read what is parked. */
    overtaken: (call: 'parkedEvent' | 'dueEvents') =>
      world.projector({ view: interrupted(world.openView(), call, interruption) }),
  }
}

const ONCE = { account: 'ada', balance: -1_101, moves: 3 }

test('a redrive that is overtaken by a retry brings nothing back', async () => {
  const { overtaken, document, view } = await twoProcesses('retries')
  const slow = overtaken('parkedEvent')
  await slow.redrive(1)
  await slow.retryDue()
  expect(await document('ada')).toEqual(ONCE)
  expect(await view.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
})

test('a retry that is overtaken by another one applies nothing twice', async () => {
  const { overtaken, document } = await twoProcesses('retries')
  await overtaken('parkedEvent').retry(1)
  expect(await document('ada')).toEqual(ONCE)
})

test('a discard that is overtaken by a retry does not discard the applied event', async () => {
  const { overtaken, document } = await twoProcesses('retries')
  expect(await overtaken('parkedEvent').discard(1, 'bob', 'too late')).toBe(false)
  expect(await document('ada')).toEqual(ONCE)
})

test('a discard that is overtaken by a discard keeps the order of the waiting events', async () => {
  const { overtaken, view } = await twoProcesses('discards')
  expect(await overtaken('parkedEvent').discard(1, 'bob', 'too late')).toBe(false)
  expect((await view.sequence('ada', 9)).map(({ position, status }) => [position, status])).toEqual([
    [3, 'retrying'],
    [4, 'waiting'],
  ])
})

test('retries that are due and overtaken apply nothing twice, in any of the sequences', async () => {
  const { overtaken, document } = await twoProcesses('retries')
  const slow = overtaken('dueEvents')
  await slow.retryDue()
  await slow.retryDue()
  expect(await document('ada')).toEqual(ONCE)
  expect(await document('bob')).toEqual({ account: 'bob', balance: -10, moves: 1 })
})
