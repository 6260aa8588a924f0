import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { inventoryList } from '../../src/inventory/list.ts'
import type { Search } from '../../src/projection/find.ts'
import { DEAD_BY_PLACE } from '../../src/projection/sqlite/effect-table.ts'
import { DISCARDED_AFTER, DISCARDED_AMONG } from '../../src/projection/sqlite/handover-tables.ts'
import { fieldExpression } from '../../src/projection/sqlite/indexes.ts'
import { DUE, NEXT_DUE, NOT_DUE_AFTER } from '../../src/projection/sqlite/parked-table.ts'
import { EFFECT_POSITION, viewSchema } from '../../src/projection/sqlite/schema.ts'
import { searchQueries } from '../../src/projection/sqlite/search-query.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { tempFolder } from '../support/temp-folder.ts'

const after = { key: 'k', value: 7 }

const SEARCHES: readonly (readonly [name: string, search: Omit<Search, 'by' | 'limit' | 'characters'>])[] = [
  ['all of them', { after: undefined }],
  ['backwards', { after: undefined, order: 'descending' }],
  ['one value', { after: undefined, equals: 7 }],
  ['a range', { after: undefined, from: 1, to: 9 }],
  ['the next page', { after }],
  ['the next page backwards', { after, order: 'descending' }],
  ['the next page of one value', { after, equals: 7 }],
  ['the next page of a range, backwards', { after, from: 1, to: 9, order: 'descending' }],
]

/** How SQLite goes about a search, one line for each step. */
function planOf(by: string | undefined, search: Omit<Search, 'by' | 'limit' | 'characters'>): string[] {
  const path = join(tempFolder(), 'view.db')
  openSqliteView(path, inventoryList).close()
  const db = openDatabase({ path, schema: viewSchema })
  onTestFinished(() => db.close())
  const field = by && fieldExpression(by)
  return searchQueries({ ...search, by, limit: 10 } as Search, field).flatMap(({ sql, values }) =>
    db
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all(...values)
      .map(({ detail }) => String(detail)),
  )
}

test.for(SEARCHES)('a search of %s by a field seeks in its index, and sorts nothing', ([, search]) => {
  for (const field of inventoryList.indexes) {
    const plan = planOf(field, search)
    const steps = plan.filter((step) => step.includes('documents'))
    const seeks = steps.filter((step) =>
      step.startsWith(`SEARCH documents USING INDEX documents_by_${field} (`),
    )
    expect(steps.length).toBeGreaterThan(0)
    expect(seeks, plan.join('\n')).toEqual(steps)
    // A page is read up to a number of bytes: nothing may read all of it first.
    expect(plan.filter((step) => step.includes('TEMP B-TREE'))).toEqual([])
  }
})

test.for(SEARCHES)('a search of %s by the key goes through the keys in their order', ([, search]) => {
  const isEverything = search.after === undefined && search.equals === undefined && search.from === undefined
  const plan = planOf(undefined, search)
  expect(plan).toEqual([
    isEverything
      ? expect.stringMatching(/^(SCAN documents|SEARCH documents USING PRIMARY KEY)/)
      : expect.stringMatching(/^SEARCH documents USING PRIMARY KEY \(/),
  ])
})

test('the page after a cursor begins at the cursor, also among many of the same value', () => {
  const plan = planOf('stock', { after })
  expect(plan.filter((step) => step.includes('documents'))).toEqual([
    expect.stringContaining('(<expr>=? AND key>?)'),
    expect.stringContaining('(<expr>>?)'),
  ])
})

/** How SQLite goes about reading of a view. */
function planIn(sql: string): string[] {
  const path = join(tempFolder(), 'view.db')
  openSqliteView(path, inventoryList).close()
  const db = openDatabase({ path, schema: viewSchema })
  onTestFinished(() => db.close())
  const steps = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all()
  return steps.map(({ detail }) => String(detail))
}

test.each([
  ['dead effects', "SELECT * FROM effects WHERE status <> 'pending'", EFFECT_POSITION, 'effects_dead'],
  ['parked letters', "SELECT * FROM parked WHERE status <> 'waiting'", 'position', 'parked_letters'],
])('a page of %s is sought in its index, however many there are', (_, select, place, index) => {
  expect(planIn(`${select} AND ${place} > 7 ORDER BY ${place} LIMIT 10`)).toEqual([
    expect.stringContaining(`USING INDEX ${index} (`),
  ])
})

test('parked events that are due are sought by their time, and none that is not is read or sorted', () => {
  for (const sql of [DUE, NEXT_DUE, NOT_DUE_AFTER]) {
    expect(planIn(sql), sql).toEqual([expect.stringContaining('INDEX parked_due')])
  }
})

test('a dead effect whose key does not exist is looked up at its place, not among all of them', () => {
  expect(planIn(DEAD_BY_PLACE)).toEqual([expect.stringContaining('USING INDEX effects_dead (<expr>=?)')])
})

test('discards among some events are looked up in their index, once for a page of events', () => {
  expect(planIn(DISCARDED_AMONG)).toEqual([
    expect.stringContaining('SEARCH discarded USING INDEX discarded_by_position (position>? AND position<?)'),
  ])
  expect(planIn(DISCARDED_AFTER), 'page by page, without sorting').toEqual([
    expect.stringContaining('SEARCH discarded USING INTEGER PRIMARY KEY (rowid>?)'),
  ])
})
