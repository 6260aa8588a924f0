import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { viewPath } from '../../../src/config/paths.ts'
import { openSqliteControl } from '../../../src/control/sqlite/control-store.ts'
import type { App } from '../../../src/kernel/app.ts'
import { openSqliteView } from '../../../src/projection/sqlite/view-store.ts'
import { storeFiles } from '../../../src/sqlite/store-files.ts'
import { adoptViews } from '../../../src/workers/projections/adopt.ts'
import { generations } from '../../support/generations.ts'
import { balances } from '../../support/ledger-app.ts'
import { tempFolder } from '../../support/temp-folder.ts'

const app = { projections: new Map([['balances', balances()]]) } as unknown as App

/** What the control store of a folder says after the views were adopted. */
async function adopted(data: string) {
  const control = openSqliteControl({ path: join(data, 'control.db') })
  onTestFinished(() => control.close())
  await adoptViews(app, data, control)
  const { generations = [] } = (await control.projection('balances')) ?? {}
  return generations.map(({ generation, version, partitions, state }) => ({
    generation,
    version,
    partitions,
    state,
  }))
}

/** The file of a generation that took over in a swap, if one is given. */
async function view(data: string, generation: number, { swap = 0, version = 1, index = 0, count = 1 } = {}) {
  const path = viewPath(data, 'balances', { generation, partition: { index, count } })
  const store = openSqliteView(path, balances(), { version })
  if (swap > 0) await store.takeOver({ swap }, 0)
  await store.close()
  return path
}

test('after the control store was lost the generation serves that did, and sends what it has not sent', async () => {
  const site = generations()
  const worker = await site.work(balances())
  await site.move('ada', -1)
  await worker.settle()
  expect(await worker.send()).toEqual(['balances:1:1'])
  await worker.request()
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  await site.move('ada', -2)
  await worker.settle()
  await worker.stop()
  for (const file of storeFiles(join(site.data, 'control.db'))) rmSync(file, { force: true })

  expect(await adopted(site.data)).toEqual([{ generation: 2, version: 1, partitions: 1, state: 'active' }])
  const again = await site.work(balances())
  await again.settle()
  expect(await again.send()).toEqual(['balances:2:1'])
  expect(await again.read('ada')).toMatchObject({ balance: -3 })
  expect(await again.request()).toMatchObject({ generation: 3 })
})

test('it is known by the last swap, with its version and its partitions', async () => {
  const data = tempFolder()
  await view(data, 1)
  await view(data, 10, { swap: 2 })
  await view(data, 9, { swap: 3, version: 7, count: 2 })
  await view(data, 9, { swap: 3, version: 7, index: 1, count: 2 })
  await view(data, 11)
  expect(await adopted(data)).toEqual([{ generation: 9, version: 7, partitions: 2, state: 'active' }])
})

test('where no generation has taken over, or that cannot be read, the first one serves', async () => {
  const data = tempFolder()
  await view(data, 1, { version: 3 })
  await view(data, 2)
  writeFileSync(await view(data, 3, { swap: 1 }), 'no store')
  expect(await adopted(data)).toEqual([{ generation: 1, version: 3, partitions: 1, state: 'active' }])
  expect(await adopted(tempFolder())).toEqual([{ generation: 1, version: 1, partitions: 1, state: 'active' }])
})
