import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineDecider, defineEvent, defineProjection } from '../../src/index.ts'

const Lent = defineEvent({ type: 'lent', schema: z.object({ to: z.string() }) })
const Returned = defineEvent({ type: 'returned', schema: z.object({}) })

const builder = defineDecider({
  name: 'book',
  events: [Lent, Returned],
  initialState: () => null as { to: string } | null,
})
const folds = { lent: (_: unknown, { data }: { data: { to: string } }) => data, returned: () => null }
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
