import { expect, test } from 'vitest'
import { type Actual, differences } from './compare.ts'
import { foldLines } from './fold.ts'
import { readOrderLines, toProducts } from './superstore.ts'

const lines = readOrderLines(20)
const expected = foldLines(toProducts(lines), lines)

/** A system in which everything is as it must be, but for what is changed. */
function actual(change: (right: Actual) => Partial<Actual> = () => ({})): Actual {
  const items = [...expected.products].map(([sku, tally]) => ({ sku, ...tally }))
  const right: Actual = {
    accepted: expected.accepted,
    refused: expected.refused,
    positions: Array.from({ length: expected.products.size + expected.accepted }, (_, index) => index + 1),
    views: { items, topTen: [], stats: expected.totals },
    alerts: [...expected.alerts],
  }
  return { ...right, ...change(right) }
}

test('a system that is right has no differences', () => {
  expect(differences(expected, actual())).toEqual([])
})

test('one cent too much in one product and in the totals is named', () => {
  const found = differences(
    expected,
    actual(({ views: { items, topTen, stats } }) => ({
      views: {
        items: items.map((item, index) =>
          index === 0 ? { ...item, revenueCents: item.revenueCents + 1 } : item,
        ),
        topTen,
        stats: { ...stats, revenueCents: stats.revenueCents + 1 },
      },
    })),
  )
  expect(found).toHaveLength(2)
  expect(found[0]).toMatch(/^total revenueCents: the system has \d+, the fold \d+$/)
  expect(found[1]).toMatch(/^FUR-\S+ revenueCents: /)
})

test.each<[string, (right: Actual) => Partial<Actual>, RegExp]>([
  [
    'a sale stored twice',
    ({ positions }) => ({ positions: [...positions, positions.length + 1] }),
    /events in the log/,
  ],
  ['a position left out', ({ positions }) => ({ positions: positions.with(-1, 9_999) }), /highest position/],
  ['an alert that is missing', ({ alerts }) => ({ alerts: alerts.slice(1) }), /had no alert/],
  [
    'an alert that came under two keys',
    ({ alerts }) => ({ alerts: [...alerts, ...alerts.slice(0, 1)] }),
    /^alerts:/,
  ],
  [
    'a product that is missing',
    ({ views }) => ({ views: { ...views, items: views.items.slice(1) } }),
    /is not in the list/,
  ],
])('%s is named', (_, change, message) => {
  const found = differences(expected, actual(change))
  expect(found).toContainEqual(expect.stringMatching(message))
})
