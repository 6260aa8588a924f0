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
      reader.close()
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
