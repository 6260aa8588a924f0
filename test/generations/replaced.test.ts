import { mkdirSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import { storeFiles } from '../../src/sqlite/store-files.ts'
import { generations, type Worker } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

async function isLeading(worker: Worker) {
  const state = await worker.control.projection('balances')
  return state?.generations.find(({ generation }) => generation === 2)?.parts[0]?.leading
}

/** A generation that serves and one beside it that leads, both at position 2, and a way to lose the file of the second. */
async function leading() {
  const { data, work, move } = generations()
  const worker = await work(balances())
  await worker.settle()
  await move('ada', 1)
  await worker.settle()
  await worker.request()
  while (!(await isLeading(worker))) await worker.moveUnits()
  const path = viewPath(data, 'balances', { generation: 2, partition: { index: 0, count: 1 } })
  const db = new DatabaseSync(path, { readOnly: true })
  db.exec(`VACUUM INTO '${path}-copy'`)
  db.close()
  await move('ada', 1)
  await worker.moveUnits()
  const lose = (how: string) => {
    for (const file of storeFiles(path)) rmSync(file, { force: true })
    if (how === 'replaced by an older copy') renameSync(`${path}-copy`, path)
  }
  return { worker, work, lose }
}

test('a generation that leads is not swapped in if its file is an older one when its process starts', async () => {
  const { worker, work, lose } = await leading()
  await worker.stop()
  lose('replaced by an older copy')
  const next = await work(balances())
  await next.units[0]?.generations.reconcile()
  for (let look = 0; look < 3; look += 1) await next.coordinator.reconcile()
  expect(await next.position()).toBe(2)
  await next.settle()
  expect(await next.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await next.position()).toBe(2)
})

test.each(['removed', 'replaced by an older copy'])(
  'a generation that leads is not swapped in while its file, which was %s, is behind',
  async (how) => {
    const { worker, lose } = await leading()
    lose(how)
    await worker.units[0]?.generations.reconcile()
    for (let look = 0; look < 3; look += 1) await worker.coordinator.reconcile()
    expect(await worker.position()).toBe(2)
    await worker.settle()
    expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
    expect(await worker.position()).toBe(2)
    expect(await worker.read('ada')).toMatchObject({ balance: 2 })
  },
)

test('a view whose file was removed is begun anew although it cannot be opened at first', async () => {
  const { data, work, move } = generations()
  const worker = await work(balances())
  await move('ada', 1)
  await worker.settle()
  const path = viewPath(data, 'balances')
  for (const file of storeFiles(path)) rmSync(file, { force: true })
  mkdirSync(path)
  await expect(worker.moveUnits()).rejects.toMatchObject({ code: 'CQRS_STORE_UNAVAILABLE' })
  rmdirSync(path)
  await worker.settle()
  expect(await worker.read('ada')).toMatchObject({ balance: 1 })
})

/** Another generation that is as far as the one that serves, and how it takes the place of that one. */
const OTHERS = {
  'a rollback': {
    active: 2,
    async prepare(worker: Worker, move: () => Promise<void>) {
      await worker.request()
      await worker.settle()
      await move()
    },
    begin: (worker: Worker) => worker.control.move('balances', 1, 'returning'),
  },
  'a rebuild': {
    active: 1,
    async prepare(worker: Worker, move: () => Promise<void>) {
      await move()
      await worker.request()
      while (!(await isLeading(worker))) await worker.moveUnits()
    },
    begin: async () => undefined,
  },
}

test.each([
  ['a rollback', 'runs'],
  ['a rollback', 'is down'],
  ['a rebuild', 'runs'],
  ['a rebuild', 'is down'],
] as const)(
  'the effects of a generation are sent if %s replaces it after its file was removed while its process %s',
  async (by, state) => {
    const { data, work, move } = generations()
    const { active, prepare, begin } = OTHERS[by]
    let worker = await work(balances())
    const keys = Array.from({ length: 15 }, (_, index) => `balances:${index + 1}:1`)
    await prepare(worker, async () => {
      for (const _ of keys) await move('ada', -1)
      await worker.settle()
    })
    if (state === 'is down') await worker.stop()
    const path = viewPath(data, 'balances', { generation: active, partition: { index: 0, count: 1 } })
    for (const file of storeFiles(path)) rmSync(file, { force: true })
    if (state === 'is down') worker = await work(balances())
    await worker.units[0]?.generations.reconcile()
    await begin(worker)
    await worker.units[0]?.generations.reconcile()
    await worker.units[0]?.generations.step()
    for (let look = 0; look < 5; look += 1) {
      await worker.coordinator.reconcile()
      await new Promise(setImmediate)
    }
    await worker.settle()
    expect((await worker.states())[active]).toBe('previous')
    expect(await worker.send()).toEqual(keys)
  },
)
