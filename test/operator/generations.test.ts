import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { App } from '../../src/kernel/app.ts'
import { listProjections } from '../../src/operator/generations.ts'
import type { System } from '../../src/operator/system.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

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
      return projection?.generations.map(({ state, position, target }) => ({ state, position, target }))
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
    { state: 'previous', position: 36, target: 0 },
    { state: 'active', position: 36, target: 36 },
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
