import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import type { ControlStore, ProjectionControl } from '../../src/control/contract.ts'
import { ViewReaders } from '../../src/generations/view-readers.ts'
import type { App } from '../../src/kernel/app.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { compareSqliteViews } from '../../src/projection/sqlite/view-snapshot.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { storeFiles } from '../../src/sqlite/store-files.ts'
import { at, put } from '../contract/view.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

/** Readers of another process that know of a view what held before its first generation was swapped out and pruned. */
async function overtakenReaders() {
  const world = generations()
  const worker = await world.work(balances())
  await world.move('ada', 1)
  await worker.settle()
  let known: ProjectionControl | undefined = await worker.control.projection('balances')
  await worker.request()
  await worker.settle()
  await worker.control.move('balances', 1, 'pruning')
  await worker.settle()
  expect(worker.files()).toEqual(['balances.2.db'])

  /** What was known is asked for once; from then on what holds. */
  const projection: ControlStore['projection'] = async (name) => {
    const answer = known ?? (await worker.control.projection(name))
    known = undefined
    return answer
  }
  const readers = new ViewReaders({
    app: { projections: new Map([['balances', balances()]]) } as unknown as App,
    control: { projection } as ControlStore,
    open: ({ generation, partition }) =>
      openSqliteViewReader(viewPath(world.data, 'balances', { generation, partition }), balances()),
  })
  onTestFinished(() => readers.close())
  const read = (generation?: number) => readers.use('balances', ({ view }) => view.get('ada'), generation)
  return { worker, read }
}

test('a generation that is removed before its reader opens it is not made anew: the one that serves is read', async () => {
  const { worker, read } = await overtakenReaders()
  expect(await read()).toMatchObject({ account: 'ada', balance: 1 })
  expect(worker.files()).toEqual(['balances.2.db'])
})

test('a generation that is removed before somebody looks into it is not there, instead of empty', async () => {
  const { worker, read } = await overtakenReaders()
  await expect(read(1)).rejects.toMatchObject({ code: 'CQRS_NOT_FOUND' })
  expect(worker.files()).toEqual(['balances.2.db'])
})

test('a comparison with a generation whose file is gone says so, and makes none', async () => {
  const { data, work, move } = generations()
  const worker = await work(balances())
  await move('ada', 1)
  await worker.settle()
  const [there, gone] = [1, 2].map((generation) => viewPath(data, 'balances', { generation })) as [
    string,
    string,
  ]
  const reason = 'there is no such file'
  expect(compareSqliteViews('balances', [there], [gone])).toMatchObject({
    kind: 'damaged',
    side: 'after',
    file: gone,
    reason,
  })
  expect(compareSqliteViews('balances', [gone], [there])).toMatchObject({
    side: 'before',
    file: gone,
    reason,
  })
  expect(worker.files()).toEqual(['balances.1.db'])
})

test('a view that nobody has written yet is empty, and its readers see it come', async () => {
  const { work, move } = generations()
  const worker = await work(balances())
  await move('ada', 1)
  expect([await worker.position(), await worker.read('ada')]).toEqual([0, undefined])
  expect(await worker.readers.use('balances', ({ view }) => view.find({ limit: 5 }))).toMatchObject({
    items: [],
  })
  expect(worker.files()).toEqual([])
  await worker.settle()
  expect([await worker.position(), await worker.read('ada')]).toEqual([
    1,
    expect.objectContaining({ balance: 1 }),
  ])
})

test('a view that was begun anew in the place of a file that is gone is read, by all that begin to read from then on', async () => {
  const path = join(tempFolder(), 'view.db')
  const begin = async (position: number) => {
    const view = openSqliteView(path, balances())
    await put(view, { advanceTo: at(position), documents: [['ada', { balance: position }]] })
    return view
  }
  await (await begin(9)).close()
  const active = {
    generation: 1,
    version: 1,
    partitions: 1,
    state: 'active',
    parts: [{ phase: 'following' }],
  }
  const readers = new ViewReaders({
    app: { projections: new Map([['balances', balances()]]) } as unknown as App,
    control: { projection: async () => ({ generations: [active] }) } as unknown as ControlStore,
    open: () => openSqliteViewReader(path, balances()),
  })
  onTestFinished(() => readers.close())
  const position = () => readers.use('balances', ({ view }) => view.position())
  await readers.use('balances', async ({ view }) => {
    expect(await view.position()).toBe(9)
    for (const file of storeFiles(path)) rmSync(file, { force: true })
    // As long as nobody has begun it anew, what there was is better than nothing.
    expect(await position()).toBe(9)
    const anew = await begin(2)
    onTestFinished(() => anew.close())
    await until('the new file is read', async () => (await position()) === 2, 5_000)
    expect(await view.position()).toBe(9)
    expect(await view.get('ada')).toEqual({ balance: 9 })
  })
  expect(await position()).toBe(2)
})
