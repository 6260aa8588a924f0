import { expect, test } from 'vitest'
import { verdictOn } from '../../src/generations/verdict.ts'
import type { Comparison } from '../../src/projection/parity.ts'
import { balances } from '../support/ledger-app.ts'

function compared(found: Partial<Comparison>): Comparison {
  const none = { added: 0, changed: 0, removed: 0, damaged: 0, examples: [] }
  const side = (position: number) => ({ position, documents: 3, hash: '' })
  return { kind: 'compared', samePosition: true, before: side(120), after: side(125), ...none, ...found }
}

const moved = { samePosition: false }

test.each<[string, Partial<Comparison>]>([
  ['nothing differs', {}],
  ['documents differ', { changed: 1 }],
  ['they never stood at one position', moved],
])('without parity a generation is swapped in: %s', (_, found) => {
  const wish = { purpose: 'serve', requireParity: false } as const
  expect(verdictOn(wish, compared(found), balances())).toEqual({ kind: 'swap' })
})

test.each<[string, Partial<Comparison>, RegExp | undefined]>([
  ['nothing differs', {}, undefined],
  ['documents differ', { changed: 1 }, /^It differs from the active generation, and parity was required\.$/],
  [
    'they never stood at one position',
    moved,
    /^It could not be compared with the active generation at one position \(they were at 120 and 125.*Try again.*"cqrs rebuild balances --require-parity"\.$/,
  ],
  [
    'they never stood at one position, and what differs may be of the events between',
    { ...moved, added: 1, changed: 2 },
    /^It could not be compared/,
  ],
  [
    'a document is damaged, wherever they stood',
    { ...moved, changed: 1, damaged: 1 },
    /^It differs .* 1 documents of the active one are damaged: "cqrs rebuild balances", without/,
  ],
])('with parity required, %s', (_, found, error) => {
  const wish = { purpose: 'serve', requireParity: true } as const
  expect(verdictOn(wish, compared(found), balances())).toEqual(
    error ? { kind: 'failed', error: expect.stringMatching(error) } : { kind: 'swap' },
  )
})

test('what was compared for its own sake is never swapped in, whatever was found', () => {
  const wish = { purpose: 'verify', requireParity: false } as const
  for (const found of [{}, moved, { changed: 1 }]) {
    expect(verdictOn(wish, compared(found), balances())).toEqual({ kind: 'verified' })
  }
})
