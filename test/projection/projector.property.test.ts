import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Projector } from '../../src/projection/projector.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { type Balance, balances } from '../support/ledger-app.ts'

type Action =
  | { do: 'move'; account: string; amount: number }
  | { do: 'step'; projector: number }
  | { do: 'crash'; projector: number }
  | { do: 'retry'; projector: number }
  | { do: 'cure' | 'poison'; account: string }

const account = fc.constantFrom('ada', 'bob', 'cy')
const projector = fc.nat({ max: 1 })
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      account,
      amount: fc.integer({ min: -9, max: 9 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('step' as const), projector }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), projector }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('retry' as const), projector }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cure' as const, 'poison' as const), account }) },
)

/**
 * Two projectors on one view, crashes that drop their memory, handlers that fall ill and recover: once
 * all are well and every retry is due, the view is a plain fold of the log, and at no time did an event
 * of an account overtake an earlier one.
 */
test('whatever happens on the way, the view ends as a fold of the log', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
      const ill = new Set<string>()
      const world = ledger(balances({ fails: (name) => ill.has(name) }))
      const options = { batchSize: 3, policy: { maxAttempts: 1_000, baseMs: 1, capMs: 1 } }
      const make = () => world.projector({ ...options, view: world.openView() })
      const projectors: Projector[] = [make(), make()]
      const expected = new Map<string, Balance>()
      const history = new Map<string, number[]>()

      for (const next of actions) {
        world.clock.now += 10
        if (next.do === 'move') {
          await world.move(next.account, next.amount)
          const { balance, moves } = expected.get(next.account) ?? { balance: 0, moves: 0 }
          expected.set(next.account, {
            account: next.account,
            balance: balance + next.amount,
            moves: moves + 1,
          })
          history.set(next.account, [...(history.get(next.account) ?? [0]), balance + next.amount])
        } else if (next.do === 'step') await projectors[next.projector]?.step()
        else if (next.do === 'retry') await projectors[next.projector]?.retryDue()
        else if (next.do === 'crash') projectors[next.projector] = make()
        else if (next.do === 'cure') ill.delete(next.account)
        else ill.add(next.account)
        for (const name of expected.keys()) {
          const seen = (await world.document(name)) as Balance | undefined
          if (seen) expect(seen.balance).toBe(history.get(name)?.[seen.moves])
        }
      }

      ill.clear()
      world.clock.now += 10
      const last = make()
      await toHead(last)
      await last.retryDue()
      expect(await world.view.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
      for (const [name, balance] of expected) expect(await world.document(name)).toEqual(balance)
    }),
    { numRuns: 30 },
  )
}, 60_000)
