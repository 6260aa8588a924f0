import { mkdirSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import { storeFiles } from '../../src/sqlite/store-files.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

/** A generation that serves and one beside it that leads, both at position 2, and a way to lose the file of the second. */
async function leading() {
  const { data, work, move } = generations()
  const worker = await work(balances())
  await worker.settle()
  await move('ada', 1)
  await worker.settle()
  await worker.request()
  const isLeading = async () =>
    (await worker.control.projection('balances'))?.generations.find(({ generation }) => generation === 2)
      ?.parts[0]?.leading
  while (!(await isLeading())) await worker.moveUnits()
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
