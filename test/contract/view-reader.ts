import { expect, test } from 'vitest'
import { partitionOf } from '../../src/kernel/partition.ts'
import type { FindOptions } from '../../src/kernel/query.ts'
import type { ReadableView } from '../../src/projection/contract.ts'
import { MOST_PARKED } from '../../src/projection/contract.ts'
import { wholeView } from '../../src/projection/partitioned-view.ts'
import { at, effect, type NewView, parkedEvent, put, viewOf, waiting } from './view.ts'

const PARTS = 3

type Documents = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** Numbers and text in one field, equal values, and none: the order of a store has to be met exactly. */
const BALANCES = [
  0,
  'text 1',
  -7,
  2.5,
  '',
  2,
  null,
  1e15,
  2,
  '10',
  9,
  'ÿ',
  undefined,
  '\u{1f600}',
  '\uffee',
  2,
]

const KEYS = [
  'ada',
  'bob',
  'Zoë',
  'eve',
  'ÿ',
  '\u{1f600}',
  '\uffee',
  'a',
  'z',
  'mug-10',
  'mug-9',
  'A',
  '',
  '0',
  'ad',
  'é',
]

const DOCUMENTS: Documents = Object.fromEntries(
  KEYS.map((account, index) => {
    const balance = BALANCES[index]
    return [account, { account, ...(balance !== undefined && { balance }), moves: index % 2 }]
  }),
)

const SEARCHES: readonly Omit<FindOptions, 'limit'>[] = [
  {},
  { order: 'descending' },
  { equals: 'ada' },
  { from: 'a', to: 'mug-9' },
  { from: 'a', to: 'mug-9', order: 'descending' },
  { by: 'balance' },
  { by: 'balance', order: 'descending' },
  { by: 'moves', equals: 1 },
  { by: 'moves', equals: 1, order: 'descending' },
  { by: 'balance', equals: 2 },
  { by: 'balance', equals: 'text 1' },
  { by: 'balance', equals: '2' },
  { by: 'balance', from: 1, to: 3 },
  { by: 'balance', from: 2, to: 2, order: 'descending' },
  { by: 'balance', from: 2 },
  { by: 'balance', to: 2, order: 'descending' },
  { by: 'balance', from: 'text 1' },
  { by: 'balance', to: 'text 1' },
  { by: 'balance', from: 3, to: 1 },
]

/** Numbers before text, text by its bytes in UTF-8. */
function compare(one: unknown, other: unknown): number {
  if (typeof one === 'number' && typeof other === 'number') return one - other
  if (typeof one !== typeof other) return typeof one === 'number' ? -1 : 1
  return Buffer.compare(Buffer.from(String(one)), Buffer.from(String(other)))
}

/** What a search finds, from nothing but the documents. */
function found(documents: Documents, { by, equals, from, to, order }: Omit<FindOptions, 'limit'>): unknown[] {
  const rows = Object.entries(documents)
    .map(([key, document]) => ({ key, document, value: by === undefined ? key : document[by] }))
    .filter(({ value }) => value !== undefined && value !== null)
    .filter(({ value }) => equals === undefined || value === equals)
    .filter(({ value }) => from === undefined || compare(value, from) >= 0)
    .filter(({ value }) => to === undefined || compare(value, to) <= 0)
    .sort((one, other) => compare(one.value, other.value) || compare(one.key, other.key))
  return (order === 'descending' ? rows.reverse() : rows).map(({ document }) => document)
}

/** What every store of a view promises its readers. */
export function viewReaderContract(newView: NewView): void {
  /** The same documents in one view and in a partitioned one. */
  async function bothWays(documents: Documents) {
    const open = async (mine: (key: string) => boolean, position: number) => {
      const { write, read } = viewOf(newView)
      const entries = Object.entries(documents).filter(([key]) => mine(key))
      await put(await write(), { advanceTo: at(position), documents: entries })
      return read()
    }
    const whole = await open(() => true, 9)
    const parts: ReadableView[] = []
    for (let index = 0; index < PARTS; index += 1) {
      parts.push(await open((key) => partitionOf(key, PARTS) === index, 7 + index))
    }
    return { whole, split: wholeView(parts) }
  }

  test('a view that nobody has written is empty, and its readers see it come', async () => {
    const { write, read } = viewOf(newView)
    const reader = await read()
    const nothing = {
      position: 0,
      parked: { retrying: 0, dead: 0, waiting: 0 },
      effects: { pending: 0, dead: 0 },
    }
    expect(await reader.isWritten()).toBe(false)
    expect(await reader.position()).toBe(0)
    expect(await reader.freshness()).toEqual({ position: 0, parked: 0 })
    expect(await reader.standing()).toEqual(nothing)
    expect(await reader.marks(0)).toEqual([])
    expect(await reader.get('ada')).toBeUndefined()
    expect(await reader.find({ limit: 5 })).toEqual({ items: [], next: undefined })
    expect(await reader.find({ by: 'balance', limit: 5 })).toEqual({ items: [], next: undefined })
    await put(await write(), { advanceTo: at(3), documents: [['ada', { balance: 1 }]] })
    expect(await reader.isWritten()).toBe(true)
    expect(await reader.position()).toBe(3)
    expect(await reader.get('ada')).toEqual({ balance: 1 })
    expect(await reader.find({ by: 'balance', limit: 5 })).toEqual({
      items: [{ balance: 1 }],
      next: undefined,
    })
  })

  test('a document is read as it was written, and each reader sees the next commit at once', async () => {
    const { write, read } = viewOf(newView)
    const [store, reader, other] = [await write(), await read(), await read()]
    const document = { text: 'Ω – 雪 \u0000 "quoted"', nested: [{ deep: null }], balance: 0.1 }
    await put(store, { advanceTo: at(1), documents: [['ada', document]] })
    for (const one of [reader, other]) {
      expect(await one.get('ada')).toEqual(document)
      expect(await one.get('bob')).toBeUndefined()
      expect(await one.position()).toBe(1)
    }
    await put(store, {
      advanceTo: at(2),
      documents: [
        ['ada', null],
        ['bob', document],
      ],
    })
    for (const one of [reader, other]) {
      expect(await one.get('ada')).toBeUndefined()
      expect(await one.find({ by: 'balance', limit: 5 })).toEqual({ items: [document], next: undefined })
      expect(await one.position()).toBe(2)
    }
  })

  test('a page of a view, whole or partitioned, is what a search has to find, by any index, order, bound and size', async () => {
    const { whole, split } = await bothWays(DOCUMENTS)
    for (const search of SEARCHES) {
      const wanted = found(DOCUMENTS, search)
      for (const limit of [1, 2, 4, 50]) {
        const items: unknown[] = []
        let cursor: string | undefined
        do {
          const options = { ...search, limit, ...(cursor && { cursor }) }
          const page = await whole.find(options)
          expect(await split.find(options), JSON.stringify(options)).toEqual(page)
          expect(page.items.length).toBe(Math.min(limit, wanted.length - items.length))
          items.push(...page.items)
          cursor = page.next
        } while (cursor)
        expect(items, JSON.stringify({ ...search, limit })).toEqual(wanted)
      }
    }
  })

  test('a page ends where its documents would have more characters than it may have, and the next one goes on there', async () => {
    const sizes = [4_000, 10, 900, 90, 5_000, 6_000, 100, 100, 1_900, 10]
    const documents = Object.fromEntries(
      sizes.map((size, index) => [
        `key-${index}`,
        { account: `key-${index}`, balance: index % 4, text: 'x'.repeat(size) },
      ]),
    )
    const { whole, split } = await bothWays(documents)
    const read = await whole.search({ limit: 50, characters: 2_000, after: undefined })
    expect(read, 'what does not belong to the page is not read').toHaveLength(2)
    for (const search of SEARCHES) {
      const wanted = found(documents, search)
      for (const limit of [2, 50]) {
        const items: unknown[] = []
        let cursor: string | undefined
        do {
          const options = { ...search, limit, ...(cursor && { cursor }) }
          const page = await whole.find(options, 2_000)
          expect(await split.find(options, 2_000), JSON.stringify(options)).toEqual(page)
          const characters = (some: readonly unknown[]) =>
            some.reduce<number>((sum, one) => sum + JSON.stringify(one).length, 0)
          const most = wanted.slice(items.length, items.length + limit)
          while (most.length > 1 && characters(most) > 2_000) most.pop()
          expect(page.items).toEqual(most)
          items.push(...page.items)
          cursor = page.next
        } while (cursor)
        expect(items, JSON.stringify({ ...search, limit })).toEqual(wanted)
      }
    }
  })

  test('documents are found by true and by false', async () => {
    const { write, read } = viewOf(newView)
    const documents = Object.entries({ ada: true, bob: false, cy: true, dan: null })
    await put(await write(), { documents: documents.map(([key, balance]) => [key, { key, balance }]) })
    const reader = await read()
    const keys = async (equals: boolean) =>
      (await reader.find({ by: 'balance', equals, limit: 5 })).items.map(
        (item) => (item as { key: string }).key,
      )
    expect([await keys(true), await keys(false)]).toEqual([['ada', 'cy'], ['bob']])
  })

  test('a page goes on behind its last document, whatever changed meanwhile', async () => {
    const { write, read } = viewOf(newView)
    const [store, reader] = [await write(), await read()]
    const documents = (...accounts: [string, number][]) =>
      accounts.map(([account, balance]) => [account, { account, balance }] as const)
    await put(store, { documents: documents(['ada', 1], ['bob', 2], ['cy', 2], ['dan', 3]) })
    const first = await reader.find({ by: 'balance', limit: 2 })
    await put(store, { documents: [['bob', null], ...documents(['aaron', 2], ['bo', 2], ['bobby', 2])] })
    const second = await reader.find({ by: 'balance', limit: 9, cursor: String(first.next) })
    const accounts = [...first.items, ...second.items].map((item) => (item as { account: string }).account)
    expect(accounts).toEqual(['ada', 'bob', 'bobby', 'cy', 'dan'])
  })

  test('a field without an index, and a cursor of another search, are refused', async () => {
    const { whole } = await bothWays(DOCUMENTS)
    const { next } = await whole.find({ by: 'balance', limit: 1 })
    const refused = { code: 'CQRS_VALIDATION' }
    await expect(whole.find({ by: 'account', limit: 5 })).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining('account'),
    })
    await expect(whole.find({ by: 'moves', limit: 5, cursor: String(next) })).rejects.toMatchObject(refused)
    await expect(whole.find({ limit: 5, cursor: String(next) })).rejects.toMatchObject(refused)
    await expect(whole.find({ limit: 5, cursor: 'nonsense' })).rejects.toMatchObject(refused)
  })

  test('a reader is told how many events the view lacks, with the very position that they belong to', async () => {
    const { write, read } = viewOf(newView)
    const [store, reader] = [await write(), await read()]
    const seen: unknown[] = []
    const parked = [[], [parkedEvent(2)], [], [waiting(4)]]
    for (const [index, events] of parked.entries()) {
      await put(store, { advanceTo: at(index + 1), parked: events })
      seen.push(await reader.freshness(), await reader.freshness())
    }
    const each = [0, 1, 1, 2].map((lacking, index) => ({ position: index + 1, parked: lacking }))
    expect(seen).toEqual(each.flatMap((one) => [one, one]))
    // One is applied, the other one given up.
    await put(store, { settled: [2], parked: [parkedEvent(4)] })
    expect(await reader.freshness()).toEqual({ position: 4, parked: 1 })
    await put(store, {
      settled: [4],
      discarded: [{ event: parkedEvent(4), by: 'eve', reason: 'a test', at: '2026-01-02T00:00:00.000Z' }],
    })
    expect(await reader.freshness()).toEqual({ position: 4, parked: 0 })
  })

  test('of very many parked events a query counts no more than it takes to say that they are very many', async () => {
    const { write, read } = viewOf(newView)
    const [store, reader] = [await write(), await read()]
    const park = (from: number, to: number) =>
      put(store, {
        parked: Array.from({ length: to - from }, (_, n) =>
          parkedEvent(from + n, { sequence: `s${from + n}` }),
        ),
      })
    await park(1, MOST_PARKED + 1)
    expect((await reader.freshness()).parked).toBe(MOST_PARKED)
    await park(MOST_PARKED + 1, MOST_PARKED + 3)
    expect((await reader.freshness()).parked).toBe(MOST_PARKED + 1)
    expect((await reader.standing()).parked.retrying, 'for operators all').toBe(MOST_PARKED + 2)
  })

  test('operators see where the view is, what is parked, and what is to be sent', async () => {
    const { write, read } = viewOf(newView)
    const [store, reader] = [await write(), await read()]
    await put(store, {
      advanceTo: at(9),
      parked: [
        parkedEvent(1),
        waiting(2),
        waiting(3),
        parkedEvent(4, { sequence: 'bob', status: 'dead', dueAt: 0 }),
      ],
      effects: [effect(5), effect(6), effect(7)],
      withheld: [effect(8)],
    })
    await store.effectFailed('balances:6:1', {
      attempts: 5,
      error: 'refused',
      at: '2026-01-01T00:00:00.000Z',
    })
    expect(await reader.standing()).toEqual({
      position: 9,
      parked: { retrying: 1, dead: 1, waiting: 2 },
      effects: { pending: 2, dead: 1 },
    })
  })

  test('marks of the digest are kept every thousand events and where a change says so; the checkpoint is the last', async () => {
    const { write, read } = viewOf(newView)
    const [store, reader] = [await write(), await read()]
    await put(store, { advanceTo: at(1_500, 999) })
    expect(await reader.marks(0)).toEqual([at(1_500, 999)])
    await put(store, { advanceTo: at(1_600, 1_001) })
    await put(store, { advanceTo: at(1_700, 1_100) })
    await put(store, { advanceTo: at(9_000, 4_000), marks: [at(4_000, 2_000), at(6_000, 3_000)] })
    await put(store, { advanceTo: at(9_001, 4_001) })
    const marks = [at(1_600, 1_001), at(4_000, 2_000), at(6_000, 3_000), at(9_000, 4_000), at(9_001, 4_001)]
    expect(await reader.marks(0)).toEqual(marks)
    expect(await reader.marks(4_000)).toEqual(marks.slice(2))
    expect(await reader.marks(9_000)).toEqual(marks.slice(4))
    expect(await reader.marks(9_001)).toEqual([])
    expect(await reader.marks(0, marks[1]?.position), 'and the checkpoint').toEqual([
      ...marks.slice(0, 2),
      ...marks.slice(-1),
    ])
  })
}
