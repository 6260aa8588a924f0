import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { DocumentCache } from '../../src/projection/document-cache.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

const LARGE = 100_000

/** A cache on a view that has a large document for each key; `read` names those that were read. */
function cacheOf(bytes: number, documents = 10_000) {
  const read: string[] = []
  const view = {
    async load(keys: Iterable<string>) {
      const all = [...keys]
      read.push(...all)
      return new Map(all.map((key) => [key, { text: 'x'.repeat(LARGE) }]))
    },
  }
  return { cache: new DocumentCache(view, { documents, bytes }), read }
}

const keys = (count: number) => Array.from({ length: count }, (_, index) => [`key-${index}`])

test('of large documents no more are kept between batches than memory was given', async () => {
  const changed = keys(10).map(([key]) => [String(key), { text: 'y'.repeat(LARGE) }] as const)
  for (const [bytes, again] of [
    [20 * LARGE, 0],
    [5 * LARGE, 3],
  ] as const) {
    const { cache, read } = cacheOf(bytes)
    cache.keep(changed)
    await cache.of(keys(3))
    expect(read, `${bytes} bytes`).toHaveLength(again)
  }
})

test.each([10_000, 0])(
  'of a batch no more large documents are read than memory was given, of %i kept ones',
  async (kept) => {
    const { cache, read } = cacheOf(20 * LARGE, kept)
    // How large they are shows with the first ones.
    await cache.of(keys(1))
    read.length = 0
    const { documents, events } = await cache.of(keys(1_000))
    expect(read.length).toBeLessThan(40)
    expect(events).toBeLessThan(40)
    expect([...documents.keys()]).toEqual(keys(events).flat())
  },
)

test('a batch whose documents are large is applied part by part, and ends as any other', async () => {
  const world = ledger(balances())
  for (let n = 0; n < 60; n += 1) {
    await world.move(`account-${n % 20}`, n)
    // Of no matter to the view, also behind the last event that is.
    await world.appendRaw(`other-${n}`, 0, 'nobody-knows', {})
  }
  await toHead(world.projector())
  const view = openSqliteView(join(tempFolder(), 'balances.2.db'), balances())
  onTestFinished(() => view.close())
  const projector = world.projector({ view, documentCache: { documents: 10_000, bytes: 1 } })
  let steps = 0
  while ((await projector.step()) !== 'at-head') steps += 1
  expect(steps).toBeGreaterThan(2)
  const { revision: _, ...reached } = await view.checkpoint()
  expect(await world.view.checkpoint()).toMatchObject(reached)
  const accounts = keys(20).map((_each, n) => `account-${n}`)
  expect(await view.load(accounts)).toEqual(await world.view.load(accounts))
})
