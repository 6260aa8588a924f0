import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { partitionOf } from '../../src/kernel/partition.ts'
import { EMPTY_DIGEST } from '../../src/projection/digest.ts'
import { wholeView } from '../../src/projection/partitioned-view.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

const PARTS = 3

/** The same documents in one view and in a partitioned one. */
async function bothWays(documents: Record<string, unknown>) {
  const folder = tempFolder()
  const open = async (name: string, mine: (key: string) => boolean, position: number) => {
    const path = join(folder, name)
    const store = openSqliteView(path, balances())
    await store.commit({
      expectedRevision: 0,
      advanceTo: { position, processed: position, digest: EMPTY_DIGEST },
      documents: new Map(Object.entries(documents).filter(([key]) => mine(key))),
      parked: [],
      settled: [],
      effects: [],
    })
    const reader = openSqliteViewReader(path, balances())
    onTestFinished(async () => {
      await reader.close()
      await store.close()
    })
    return reader
  }
  const whole = await open('whole.db', () => true, 9)
  const parts = await Promise.all(
    Array.from({ length: PARTS }, (_, index) =>
      open(`${index}.db`, (key) => partitionOf(key, PARTS) === index, 7 + index),
    ),
  )
  return { whole, parts, split: wholeView(parts) }
}

const documents = Object.fromEntries(
  ['ada', 'bob', 'Zoë', 'eve', 'ÿ', '\u{1f600}', '\uffee', 'a', 'z', 'mug-10', 'mug-9'].map(
    (account, index) => [account, { account, balance: index, moves: index % 2 }],
  ),
)

test('whole numbers beyond 2^53 are found by an index, each once, however small the pages are', async () => {
  // JSON writes 2 ** 60 in the fewest digits that tell it apart: ...847000, which is another whole number than ...846976.
  const numbers = [-(2 ** 60), 1, 2 ** 53 + 2, 2 ** 60, 2 ** 60 + 256, 2 ** 63, 1e20, 1e300]
  const large = Object.fromEntries(
    numbers.flatMap((balance, index) =>
      ['a', 'b'].map((twin) => [`${index}${twin}`, { account: `${index}${twin}`, balance, moves: 1 }]),
    ),
  )
  const { whole, split } = await bothWays(large)
  for (const view of [whole, split]) {
    for (const limit of [1, 3, 50]) {
      const found: unknown[] = []
      let cursor: string | undefined
      do {
        const page = await view.find({ by: 'balance', limit, ...(cursor && { cursor }) })
        found.push(...page.items)
        cursor = page.next
      } while (cursor && found.length < 100)
      expect(found).toEqual(Object.values(large))
    }
    for (const equals of numbers) {
      const { items } = await view.find({ by: 'balance', equals, limit: 50 })
      expect(items).toMatchObject([{ balance: equals }, { balance: equals }])
    }
  }
})

test('a document is found wherever it lies, and the view is as far as its slowest partition', async () => {
  const { split } = await bothWays(documents)
  for (const [key, document] of Object.entries(documents)) expect(await split.get(key)).toEqual(document)
  expect(await split.get('nobody')).toBeUndefined()
  expect(await split.position()).toBe(7)
})

test('a document that two partitions have is an error that says why, not one of the two', async () => {
  const one = await bothWays({ ada: { account: 'ada', balance: 1, moves: 1 } })
  const doubled = wholeView([...one.parts, one.whole])
  const refused = { code: 'CQRS_APP_INVALID', message: expect.stringContaining('more than one stream') }
  await expect(doubled.get('ada')).rejects.toMatchObject(refused)
  await expect(doubled.find({ limit: 10 })).rejects.toMatchObject(refused)
})
