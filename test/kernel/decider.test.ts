import { expect, test } from 'vitest'
import { z } from 'zod'
import { conflict, defineDecider, defineEvent, defineProjection } from '../../src/index.ts'
import { given } from '../../src/kernel/testing.ts'

const Lent = defineEvent({ type: 'lent', schema: z.object({ to: z.string() }) })
const Returned = defineEvent({ type: 'returned', schema: z.object({}) })
const lent = { type: 'lent' as const, data: { to: 'ada' } }
const returned = { type: 'returned' as const, data: {} }

const builder = defineDecider({
  name: 'book',
  events: [Lent, Returned],
  initialState: () => null as { to: string } | null,
})
const folds = { lent: (_: unknown, { data }: typeof lent) => data, returned: () => null }
const commands = {
  lend: {
    schema: z.strictObject({ to: z.string() }),
    stream: () => 'book-1',
    decide: ({ to }: { to: string }, lentTo: { to: string } | null) =>
      lentTo ? conflict('lent', `It is lent to ${lentTo.to}.`) : [{ type: 'lent' as const, data: { to } }],
  },
}
const book = builder.evolve(folds).commands(commands)

test('a state can become null again', () => {
  given(book, lent).when('lend', { to: 'bob' }).thenRejected('lent')
  given(book, lent, returned)
    .when('lend', { to: 'bob' })
    .thenEvents({ type: 'lent', data: { to: 'bob' } })
})

test('a fold that returns nothing is an error, and not the state before', () => {
  const forgetful = builder.evolve({ ...folds, returned: (() => undefined) as never }).commands(commands)
  expect(() => given(forgetful, lent, returned)).toThrow(
    expect.objectContaining({
      code: 'CQRS_APP_INVALID',
      message:
        'The fold of returned in the decider book returned nothing; return the new state, or null if there is none.',
    }),
  )
})

test.each([
  [{ lent: folds.lent }, 'has no fold for returned'],
  [{ ...folds, retuned: folds.returned }, 'handles retuned, which its "events" do not have'],
])('a decider whose folds are not those of its events is refused: $1', (given, says) => {
  expect(() => builder.evolve(given as never)).toThrow(
    expect.objectContaining({ code: 'CQRS_APP_INVALID', message: expect.stringContaining(says) }),
  )
})

test('a view with a handler for an event that it does not list is refused', () => {
  const view = defineProjection({ name: 'loans', events: [Lent], initial: (_key: string) => ({}) })
  expect(() => view.on({ lnet: { key: () => 'k', apply: () => ({}) } } as never)).toThrow(
    'The projection loans handles lnet, which its "events" do not have. They have: lent.',
  )
})
