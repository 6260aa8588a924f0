import { expect, test } from 'vitest'
import { lastComparison } from '../../src/operator/cli/comparison.ts'
import { conclusion } from '../../src/operator/cli/rebuild.ts'
import type { GenerationDetails, ProjectionDetails } from '../../src/operator/generations-contract.ts'
import { type Comparison, parityVerdict } from '../../src/projection/parity.ts'

function reportOf(found: Partial<Comparison>): Comparison {
  const none = { added: 0, changed: 0, removed: 0, damaged: 0, examples: [] }
  const side = (position: number) => ({ position, documents: 3_000, hash: '' })
  const sides = { before: side(12_000), after: side(found.samePosition === false ? 12_005 : 12_000) }
  return { kind: 'compared', samePosition: true, ...sides, ...none, ...found }
}

function ended(state: GenerationDetails['state'], found: Partial<Comparison>, error: string | null = null) {
  const report = reportOf(found)
  return conclusion('list', {
    ...{ generation: 2, state, report, error },
    verdict: parityVerdict(report),
  } as GenerationDetails)
}

const changed = { changed: 1, examples: [{ key: 'mug', kind: 'changed', before: 1, after: 2 }] } as const

test('a verify says that all is well, that something differs, or that nothing can be said', () => {
  expect(ended('verified', {})).toEqual([
    'list: verified at position 12,000: 3,000 documents, all as the log says',
  ])
  expect(ended('verified', changed)).toEqual([
    'list: NOT as the log says.',
    '  0 documents added, 1 changed, 0 removed (served -> folded from the log)',
    '  changed mug: 1 -> 2',
  ])
  for (const found of [{}, changed]) {
    expect(ended('verified', { ...found, samePosition: false })).toEqual([
      'list: could not be compared at one position (12,000 and 12,005: it kept moving), so nothing is known about its ' +
        'documents. Try again when fewer events arrive: "cqrs verify list".',
    ])
  }
})

test('a comparison names the events that a side lacks because they are parked, also if both lack the same', () => {
  const side = { position: 12_000, documents: 3_000, hash: '' }
  const lacking = { ...side, parked: { events: 1_254, error: 'no method' } }
  const inFold = '  The fold from the log lacks parked events (1,254): no method'
  expect(ended('verified', { ...changed, after: lacking })).toEqual([
    'list: NOT as the log says.',
    '  0 documents added, 1 changed, 0 removed (served -> folded from the log)',
    inFold,
    '  changed mug: 1 -> 2',
  ])
  const inView = '  The view that served lacks parked events (1,254): no method'
  expect(ended('verified', { before: lacking, after: lacking }).slice(1)).toEqual([inView, inFold])
})

test('a damaged document is not as the log says, wherever both stood', () => {
  const lines = ended('verified', { ...changed, samePosition: false, damaged: 1 })
  expect(lines[0]).toBe('list: NOT as the log says.')
  expect(lines.slice(1).join('\n')).toContain('1 of its documents are not what was written')
})

test('a rebuild that was swapped in, or refused, says at which positions the differences were seen', () => {
  const between = { ...changed, samePosition: false }
  expect(ended('active', between)).toEqual([
    'list: generation 2 serves now.',
    '  0 documents added, 1 changed, 0 removed (served -> folded from the log)',
    '  They were compared at different positions: 12,000 and 12,005.',
    '  changed mug: 1 -> 2',
  ])
  expect(ended('failed', between, 'It could not be compared.')[0]).toBe(
    'list: generation 2 was not swapped in. It could not be compared.',
  )
  expect(ended('active', {})).toEqual(['list: generation 2 serves now.'])
})

const stock = (stock: number) => ({ sku: 'mug', stock, tags: ['a'] })

test('of the last comparison the fields are shown that differ, not whole documents', () => {
  const generation = (number: number, report: Comparison | null, purpose = 'serve') => ({
    ...{ generation: number, purpose, state: 'verified', by: 'ada', requestedAt: '2026-01-01T00:00:00.000Z' },
    ...{ report, verdict: report && parityVerdict(report) },
  })
  const found = reportOf({
    ...{ added: 1, changed: 20, removed: 1 },
    examples: [
      { key: 'cup', kind: 'added', after: stock(1) },
      { key: 'mug', kind: 'changed', before: stock(1), after: { ...stock(2), price: 3 } },
      { key: 'pot', kind: 'removed', before: stock(3) },
    ],
  })
  const shown = (...generations: object[]) =>
    lastComparison({ name: 'list', generations } as unknown as ProjectionDetails)
  expect(shown(generation(1, null), generation(2, reportOf({})), generation(3, found, 'verify'))).toEqual([
    '',
    'Generation 3, folded again from the log, compared with the one that served, requested by ada at 2026-01-01T00:00:00.000Z: differs',
    '  1 documents added, 20 changed, 1 removed (served -> folded from the log)',
    '  added cup: {"sku":"mug","stock":1,"tags":["a"]}',
    '  changed mug: stock 1 -> 2, price - -> 3',
    '  removed pot: {"sku":"mug","stock":3,"tags":["a"]}',
    '  … and 19 more',
  ])
  expect(shown(generation(2, reportOf({}))).slice(1)).toEqual([
    'Generation 2 compared with the one that served, requested by ada at 2026-01-01T00:00:00.000Z: same',
    '  all 3,000 documents are the same at position 12,000',
  ])
  expect(shown(generation(1, null))).toEqual([])
})
