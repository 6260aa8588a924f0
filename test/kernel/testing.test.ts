import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineDecider, defineEvent } from '../../src/index.ts'
import { given } from '../../src/kernel/testing.ts'

const Paid = defineEvent({
  type: 'paid',
  schema: z.object({ cents: z.int().min(1), by: z.string().default('cash') }),
})

/** An account whose decision is what the test gives. */
const account = (decide: (state: { paid: string[] }, cents: number) => unknown) =>
  defineDecider({ name: 'account', events: [Paid], initialState: () => ({ paid: [] as string[] }) })
    .evolve({ paid: ({ paid }, { data }) => ({ paid: [...paid, data.by] }) })
    .commands({
      pay: {
        schema: z.strictObject({ cents: z.int() }),
        stream: () => 'account',
        decide: ({ cents }, state) => decide(state, cents) as [],
      },
    })

const paid = { type: 'paid', data: { cents: 5, by: 'card' } } as const

test('what production refuses of a decision does not pass a test: an event that does not fit its schema', () => {
  const decider = account((_, cents) => [{ type: 'paid', data: { cents } }])
  given(decider)
    .when('pay', { cents: 5 })
    .thenEvents({ type: 'paid', data: { cents: 5 } } as never)
  expect(() => given(decider).when('pay', { cents: -5 })).toThrow(
    'pay made an event paid that does not fit its schema: cents: Too small',
  )
})

test.each([
  [
    'a state that is changed in place',
    (state: { paid: string[] }) => state.paid.push('x') && [],
    'not extensible',
  ],
  ['an event that the decider does not list', () => [{ type: 'payed', data: {} }], 'no event payed'],
  ['nothing', () => undefined, 'The decider account answered pay with undefined; return an array'],
  ['a promise', async () => [], 'answered pay with [object Promise]'],
])('nor does %s', (_what, decide, says) => {
  expect(() => given(account(decide), paid).when('pay', { cents: 5 })).toThrow(says)
})

test('the history is read as the log is, with what was left out filled in, and has to fit', () => {
  const decider = account(({ paid }) => [{ type: 'paid', data: { cents: 1, by: paid.join() } }])
  const before = { type: 'paid', data: { cents: 5 } } as never
  given(decider, before)
    .when('pay', { cents: 5 })
    .thenEvents({ type: 'paid', data: { cents: 1, by: 'cash' } })
  expect(() => given(decider, { type: 'paid', data: { cents: 0, by: 'card' } })).toThrow(
    'The history has an event paid that does not fit its schema: cents: Too small',
  )
})

test('an input that does not fit is refused with the fields that do not', () => {
  expect(() => given(account(() => [])).when('pay', { cents: 'many' } as never)).toThrow(
    expect.objectContaining({
      code: 'CQRS_VALIDATION',
      message: expect.stringMatching(/^The input of pay does not fit its schema: cents: .*received string/),
    }),
  )
})
