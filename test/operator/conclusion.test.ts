import { expect, test } from 'vitest'
import { conclusion } from '../../src/operator/cli/rebuild.ts'
import type { GenerationDetails } from '../../src/operator/generations-contract.ts'
import { type Comparison, parityVerdict } from '../../src/projection/parity.ts'

function ended(state: GenerationDetails['state'], found: Partial<Comparison>, error: string | null = null) {
  const none = { added: 0, changed: 0, removed: 0, damaged: 0, examples: [] }
  const side = (position: number) => ({ position, documents: 3_000, hash: '' })
  const sides = { before: side(12_000), after: side(found.samePosition === false ? 12_005 : 12_000) }
  const report: Comparison = { kind: 'compared', samePosition: true, ...sides, ...none, ...found }
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
    '  0 documents added, 1 changed, 0 removed',
    '  changed mug: 1 -> 2',
  ])
  for (const found of [{}, changed]) {
    expect(ended('verified', { ...found, samePosition: false })).toEqual([
      'list: could not be compared at one position (12,000 and 12,005: it moved on all the while), so nothing is said of its ' +
        'documents. Try again when fewer events arrive: "cqrs verify list".',
    ])
  }
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
    '  0 documents added, 1 changed, 0 removed',
    '  They were compared at different positions: 12,000 and 12,005.',
    '  changed mug: 1 -> 2',
  ])
  expect(ended('failed', between, 'It could not be compared.')[0]).toBe(
    'list: generation 2 was not swapped in. It could not be compared.',
  )
  expect(ended('active', {})).toEqual(['list: generation 2 serves now.'])
})
