import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { PartPhase } from '../../src/control/contract.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import type { App } from '../../src/kernel/app.ts'
import { listProjections, readView } from '../../src/operator/generations.ts'
import type { ViewAnswer } from '../../src/operator/generations-contract.ts'
import type { System } from '../../src/operator/system.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** A view that can be rebuilt, and what operators are told of it. */
async function site() {
  const { data, log, move, work } = generations()
  const worker = await work(balances())
  const system = {
    app: { projections: new Map([['balances', balances()]]) } as unknown as App,
    log,
    control: worker.control,
    views: worker.readers,
    diskUse: () => 0,
  } as unknown as System
  return {
    move,
    fileOf: (generation: number) => join(data, 'views', `balances.${generation}.db`),
    settle: () => worker.settle(),
    async rebuild() {
      await worker.request()
      await worker.settle()
    },
    async listed() {
      const [projection] = (await listProjections(system)).projections
      return projection?.generations.map(({ state, position, target, verdict }) => {
        return { state, position, target, verdict }
      })
    },
  }
}

test('each generation is listed with the position that it has now, whether it was ever rebuilt or not', async () => {
  const { move, settle, rebuild, listed } = await site()
  for (let n = 1; n <= 35; n += 1) await move('ada', 1)
  await settle()
  await rebuild()
  await move('ada', 1)
  await settle()
  expect(await listed()).toEqual([
    { state: 'previous', position: 36, target: 0, verdict: undefined },
    { state: 'active', position: 36, target: 36, verdict: 'same' },
  ])
  await rebuild()
  await move('ada', 1)
  await settle()
  expect(await listed()).toMatchObject([
    { state: 'retired', position: 36 },
    { state: 'previous', position: 37 },
    { state: 'active', position: 37 },
  ])
})

test('of a generation that cannot be read the position is listed that its builder noted', async () => {
  const { move, settle, rebuild, fileOf, listed } = await site()
  for (let n = 1; n <= 3; n += 1) await move('ada', 1)
  await settle()
  await rebuild()
  await rebuild()
  await rebuild()
  for (const suffix of ['-wal', '-shm']) rmSync(fileOf(2) + suffix, { force: true })
  writeFileSync(fileOf(2), 'this is no database, however long it is'.repeat(200))
  expect(await listed()).toMatchObject([
    { state: 'retired', position: 3 },
    { state: 'retired', position: 3 },
    { state: 'previous', position: 3 },
    { state: 'active', position: 3 },
  ])
})

test.each<{ what: string; parts: [phase: PartPhase, position: number, rate: number][]; told: object }>([
  {
    what: 'one part',
    parts: [['folding', 4_000, 2_000]],
    told: { phase: 'folding', position: 4_000, target: 12_000, eventsPerSecond: 2_000, secondsLeft: 4 },
  },
  {
    what: 'a part that is further than another',
    parts: [
      ['folding', 4_000, 1_500],
      ['folding', 6_000, 500],
    ],
    told: { phase: 'folding', position: 4_000, eventsPerSecond: 2_000, secondsLeft: 8 },
  },
  {
    what: 'nobody knows the speed yet',
    parts: [['folding', 0, 0]],
    told: { phase: 'folding', eventsPerSecond: 0, secondsLeft: null },
  },
  {
    what: 'a part that has not begun',
    parts: [
      ['folding', 4_000, 1_500],
      ['waiting', 0, 0],
    ],
    told: { phase: 'waiting', position: 0, secondsLeft: null },
  },
  {
    what: 'all is folded, and its indexes are being made',
    parts: [['indexing', 12_000, 2_000]],
    told: { phase: 'indexing', position: 12_000, secondsLeft: null },
  },
])('how long a build takes yet is told if it can be: $what', async ({ parts, told }) => {
  const control = openSqliteControl({ path: join(tempFolder(), 'control.db') })
  onTestFinished(() => control.close())
  const view = { projection: 'balances', version: 1, partitions: parts.length }
  await control.adopt({ ...view, generation: 1 })
  await control.request({ ...view, purpose: 'serve', by: 'ada' })
  for (const [partition, [phase, position, eventsPerSecond]] of parts.entries()) {
    const progress = { phase, position, target: 12_000, eventsPerSecond, error: undefined }
    await control.progress('balances', 2, partition, progress)
  }
  const system = {
    app: { projections: new Map([['balances', { ...balances(), partitions: parts.length }]]) },
    log: { head: async () => 12_000 },
    views: { use: async () => 12_000 },
    control,
    diskUse: () => 0,
  } as unknown as System
  const [projection] = (await listProjections(system)).projections
  expect(projection?.generations[1]).toMatchObject({ state: 'building', ...told })
})

test('a page of large documents holds as many as fit into an answer, and says where to go on', async () => {
  const documents = Array.from({ length: 40 }, (_, n) => ({ n, text: 'x'.repeat(300_000) }))
  const path = join(tempFolder(), 'large.db')
  const store = openSqliteView(path, balances())
  await store.commit({
    expectedRevision: 0,
    documents: documents.map((document) => [`key-${String(document.n).padStart(2, '0')}`, document]),
    parked: [],
    settled: [],
    effects: [],
  })
  const view = openSqliteViewReader(path, balances())
  onTestFinished(async () => {
    await view.close()
    await store.close()
  })
  const views = { use: async (_: string, read: (one: object) => unknown) => read({ view, generation: {} }) }
  const found: unknown[] = []
  for (let cursor: string | undefined, isFirst = true; isFirst || cursor !== undefined; isFirst = false) {
    const input = { projection: 'large', limit: 1_000, ...(cursor !== undefined && { cursor }) }
    const page: ViewAnswer = await readView({ views } as unknown as System, input)
    expect(JSON.stringify(page).length).toBeLessThan(4_500_000)
    found.push(...page.items)
    cursor = page.next
  }
  expect(found).toEqual(documents)
})
