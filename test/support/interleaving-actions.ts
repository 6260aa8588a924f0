import fc from 'fast-check'
import type { AppendRequest } from '../../src/log/contract.ts'
import type { Passage } from './gate.ts'

/** What can happen next. Numbers are taken modulo what there is to choose from. */
export type Action =
  | { do: 'append'; account: string; to: string | undefined; amount: number }
  | { do: 'conflict'; account: string }
  | { do: 'note' }
  /** A queue message, new or long old, for one of the processes. */
  | { do: 'deliver'; process: number; message: number }
  | { do: 'retry'; process: number }
  | { do: 'redrive' | 'discard'; process: number; letter: number }
  | { do: 'redrive effects' | 'discard effect' | 'flush'; process: number }
  | { do: 'go on'; process: number; call: number; passage: Passage }
  /** Most faults need few changes from one process to another, so that one often has a long way for itself. */
  | { do: 'finish'; process: number }
  | { do: 'poison'; account: string }
  | { do: 'cure' | 'refuse effects' | 'take effects' }

const account = fc.constantFrom('ada', 'bob', 'cy')
const process = fc.nat({ max: 1 })
const some = fc.nat({ max: 50 })
const does = <Name extends Action['do']>(...names: Name[]) => fc.constantFrom(...names)

/** Any of them, the usual ones more often. */
export const ACTIONS: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: does('append'),
      account,
      to: fc.option(account, { nil: undefined, freq: 2 }),
      amount: fc.integer({ min: -9, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: does('conflict'), account }) },
  { weight: 1, arbitrary: fc.record({ do: does('note') }) },
  { weight: 6, arbitrary: fc.record({ do: does('deliver'), process, message: some }) },
  { weight: 3, arbitrary: fc.record({ do: does('retry'), process }) },
  { weight: 3, arbitrary: fc.record({ do: does('redrive', 'discard'), process, letter: some }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: does('redrive effects', 'discard effect', 'flush'), process }),
  },
  {
    weight: 16,
    arbitrary: fc.record({
      do: does('go on'),
      process,
      call: some,
      passage: fc.oneof(
        { weight: 8, arbitrary: fc.constant('runs' as const) },
        { weight: 1, arbitrary: fc.constantFrom('ends before' as const, 'ends after' as const) },
      ),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: does('finish'), process }) },
  { weight: 2, arbitrary: fc.record({ do: does('poison'), account }) },
  { weight: 3, arbitrary: fc.record({ do: does('cure', 'cure', 'refuse effects', 'take effects') }) },
)

type Appending = Extract<Action, { do: 'append' | 'note' }>

/** Whether an action appends something to the log. */
export function isAppend(action: Action): action is Appending {
  return action.do === 'append' || action.do === 'note'
}

/** The event of an action, in streams that one run has for itself. */
export function toAppend(run: string, action: Appending, expectedVersion: number): AppendRequest {
  const metadata = { commandId: 'c', correlationId: 'c' }
  if (action.do === 'note') {
    const note = { type: 'noted', schemaVersion: 1, data: { text: 'no business of the view' } }
    return { stream: `${run}/notes`, expectedVersion, events: [note], metadata }
  }
  const { account, to, amount } = action
  const move = { type: 'moved', schemaVersion: 1, data: { account, amount, ...(to && { to }) } }
  return { stream: `${run}/${account}`, expectedVersion, events: [move], metadata }
}
