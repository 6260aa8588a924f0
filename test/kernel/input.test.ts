import { expect, test } from 'vitest'
import { z } from 'zod'
import { parseInput } from '../../src/kernel/input.ts'

test.each([
  ['a text', z.string()],
  ['an enum', z.enum(['EUR', 'USD'])],
  ['a literal', z.literal('giro')],
  ['one of several types', z.union([z.string(), z.number()])],
  ['a number that is made of text', z.coerce.number()],
  ['a date that is made of text', z.coerce.date()],
  ['a type of the app', z.custom<string>((value) => typeof value === 'string')],
])('a field that is missing is said to be missing: %s', (_what, field) => {
  const schema = z.strictObject({ field, inner: z.strictObject({ field }) })
  expect(parseInput(schema, { inner: {} })).toEqual({
    ok: false,
    issues: [
      { field: 'field', problem: 'is missing' },
      { field: 'inner.field', problem: 'is missing' },
    ],
  })
})

test('so is the field that says which of several shapes an input has', () => {
  const shapes = [z.object({ kind: z.literal('cash') }), z.object({ kind: z.literal('card') })] as const
  const schema = z.object({ by: z.discriminatedUnion('kind', shapes) })
  expect(parseInput(schema, { by: {} })).toEqual({
    ok: false,
    issues: [{ field: 'by.kind', problem: 'is missing' }],
  })
})

test('a field that is there and wrong is not said to be missing', () => {
  const schema = z.object({
    currency: z.enum(['EUR', 'USD']),
    cents: z.coerce.number(),
    kind: z.literal('a'),
  })
  const parsed = parseInput(schema, { currency: 'GBP', cents: 'many', kind: null })
  const problems = parsed.ok ? [] : parsed.issues.map(({ problem }) => problem)
  expect(problems).toEqual([
    'Invalid option: expected one of "EUR"|"USD"',
    'Invalid input: expected number, received NaN',
    'Invalid input: expected "a"',
  ])
})

test('a message of the schema stays as it is', () => {
  const schema = z.object({ currency: z.enum(['EUR'], 'must be a currency') })
  expect(parseInput(schema, {})).toMatchObject({ issues: [{ problem: 'must be a currency' }] })
})
