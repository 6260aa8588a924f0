import { expect, test } from 'vitest'
import {
  areAtOnePosition,
  type Comparison,
  compareViews,
  type ParityVerdict,
  parityVerdict,
  type ViewSnapshot,
} from '../../src/projection/parity.ts'

/** A view whose documents are these, by key in order. */
function view(documents: Record<string, unknown>, positions: readonly number[] = [9]): ViewSnapshot {
  const stored = Object.entries(documents)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, document]) => ({ key, document: JSON.stringify(document), damaged: false }))
  return { positions, documents: stored }
}

const numbered = (count: number, prefix: string, document: unknown) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`${prefix}${String(index).padStart(2, '0')}`, document]),
  )

test.each([
  ['changed', numbered(25, 'k', { n: 1 }), numbered(25, 'k', { n: 2 })],
  ['added', {}, numbered(25, 'k', { n: 2 })],
  ['removed', numbered(25, 'k', { n: 1 }), {}],
] as const)(
  'of 25 documents that were %s the first 20 are named, and all are counted',
  (kind, one, other) => {
    const report = compareViews(view(one), view(other))
    expect(report).toMatchObject({ added: 0, changed: 0, removed: 0, damaged: 0, [kind]: 25 })
    expect(report.examples.map((example) => example.key)).toEqual(Object.keys(numbered(20, 'k', 0)))
    expect(report.examples.at(-1)).toEqual({
      key: 'k19',
      kind,
      ...(kind !== 'added' && { before: { n: 1 } }),
      ...(kind !== 'removed' && { after: { n: 2 } }),
    })
  },
)

test('the 20 examples are the first differences by key, of any kind; later ones are only counted', () => {
  const report = compareViews(
    view({ ...numbered(15, 'b', 1), ...numbered(10, 'c', 1) }),
    view({ ...numbered(15, 'a', 1), ...numbered(10, 'c', 2) }),
  )
  expect(report).toMatchObject({ added: 15, changed: 10, removed: 15 })
  expect(report.examples.map(({ kind }) => kind)).toEqual([
    ...Array<string>(15).fill('added'),
    ...Array<string>(5).fill('removed'),
  ])
})

test('an example of large documents shows only where they first differ, so that a report stays small', () => {
  const large = (n: number) => ({ text: 'x'.repeat(100_000), n, tail: 'y'.repeat(900_000) })
  const report = compareViews(view(numbered(25, 'k', large(1))), view(numbered(25, 'k', large(2))))
  expect(report).toMatchObject({ changed: 25 })
  expect(report.examples).toHaveLength(20)
  for (const { before, after, cut } of report.examples) {
    expect(cut).toBe(true)
    // In the order of their names the number comes first.
    expect(before).toMatch(/^\{"n":1,"tail":"y+… \(\d+ characters\)$/)
    expect(after).toMatch(/^\{"n":2,"tail":"y+… \(\d+ characters\)$/)
  }
  expect(JSON.stringify(report).length).toBeLessThan(250_000)

  const [late] = compareViews(
    view({ k: { text: `${'x'.repeat(50_000)}old` } }),
    view({ k: { text: `${'x'.repeat(50_000)}new` } }),
  ).examples
  expect(late).toMatchObject({
    cut: true,
    before: `…${'x'.repeat(64)}old"} (50014 characters)`,
    after: `…${'x'.repeat(64)}new"} (50014 characters)`,
  })
  const [gone] = compareViews(view({ k: large(1) }), view({})).examples
  expect(gone).toMatchObject({ kind: 'removed', cut: true })
  expect(gone).not.toHaveProperty('after')
})

test('views that are the same have no examples, whatever the order of their fields', () => {
  const report = compareViews(view({ k: { n: 1, m: 2 } }), view({ k: { m: 2, n: 1 } }))
  expect(report).toMatchObject({ samePosition: true, added: 0, changed: 0, removed: 0, examples: [] })
  expect(report.before.hash).toBe(report.after.hash)
})

test('views at different positions are reported so, with the position of the part that is furthest behind', () => {
  expect(compareViews(view({}, [9, 12]), view({}, [9, 11]))).toMatchObject({
    samePosition: false,
    before: { position: 9 },
    after: { position: 9 },
  })
})

test.each<[boolean, number[], number[]]>([
  [true, [9], [9]],
  [false, [9], [10]],
  // Each part with the same part of the other.
  [true, [9, 12], [9, 12]],
  [false, [9, 12], [12, 9]],
  // Split otherwise: all at one position.
  [true, [9], [9, 9]],
  [false, [9], [9, 12]],
])('that both are at one position is %s: %j and %j', (same, before, after) => {
  expect(areAtOnePosition(before, after)).toBe(same)
})

test.each<[ParityVerdict, string, Partial<Comparison>]>([
  ['same', 'nothing differs', {}],
  ['differs', 'a document was added', { added: 1 }],
  ['differs', 'a document was changed', { changed: 1 }],
  ['differs', 'a document was removed', { removed: 1 }],
  ['inconclusive', 'they never stood at one position, and nothing differs', { samePosition: false }],
  [
    'inconclusive',
    'they never stood at one position, and something differs',
    { samePosition: false, changed: 1 },
  ],
  ['differs', 'a document is damaged, wherever they stood', { samePosition: false, changed: 1, damaged: 1 }],
])('the verdict is "%s" if %s', (verdict, _, found) => {
  expect(parityVerdict({ ...compareViews(view({}), view({})), ...found })).toBe(verdict)
})

test('a damaged file is not the same as anything', () => {
  const damaged = { kind: 'damaged', file: 'list.1.db', reason: 'file is not a database' } as const
  expect(parityVerdict({ ...damaged, side: 'after' })).toBe('differs')
  expect(parityVerdict({ ...damaged, side: 'before', estateIsWhole: true })).toBe('differs')
})
