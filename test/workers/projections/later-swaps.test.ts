import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { openSqliteControl } from '../../../src/control/sqlite/control-store.ts'
import type { App } from '../../../src/kernel/app.ts'
import { forgetLaterSwaps } from '../../../src/workers/projections/later-swaps.ts'
import { generations, type Worker } from '../../support/generations.ts'
import { balances } from '../../support/ledger-app.ts'

const app = { projections: new Map([['balances', balances()]]) } as unknown as App

function copy(from: string, to: string, store: string): void {
  const db = new DatabaseSync(join(from, store), { readOnly: true })
  db.exec(`VACUUM INTO '${join(to, store)}'`)
  db.close()
}

async function rollback(worker: Worker): Promise<void> {
  const found = await worker.control.projection('balances')
  const previous = found?.generations.find(({ state }) => state === 'previous')
  expect(await worker.control.move('balances', previous?.generation ?? 0, 'returning')).toBe(true)
  await worker.settle()
}

/** What a projections worker does before it works. */
async function begin(data: string) {
  const control = openSqliteControl({ path: join(data, 'control.db') })
  const told: object[] = []
  const log = pino({ level: 'warn' }, { write: (line) => void told.push(JSON.parse(line)) })
  await forgetLaterSwaps(app, data, control, log)
  await control.close()
  return told
}

test('after a swap that has the number of one before, as after an older control store, effects are taken over', async () => {
  const [site, restored] = [generations(), generations()]
  const worker = await site.work(balances())
  await site.move('ada', -1)
  await worker.settle()
  expect(await worker.send()).toEqual(['balances:1:1'])
  await worker.request()
  await worker.settle()
  copy(site.data, restored.data, 'control.db')
  await rollback(worker)
  await rollback(worker)
  expect(await begin(site.data), 'nothing is older here').toEqual([])
  await worker.stop()
  mkdirSync(join(restored.data, 'views'))
  for (const file of readdirSync(join(site.data, 'views'))) {
    if (file.endsWith('.db')) copy(site.data, restored.data, `views/${file}`)
  }
  await restored.move('ada', -1)

  expect(await begin(restored.data)).toMatchObject([
    { generation: 1, last: 2, swaps: 1 },
    { generation: 2, last: 3, swaps: 1 },
  ])
  expect(await begin(restored.data), 'it is done').toEqual([])
  const again = await restored.work(balances())
  await again.settle()
  expect(await again.states()).toEqual({ 1: 'previous', 2: 'active' })
  await restored.move('eve', -5)
  await again.settle()
  await rollback(again)
  expect(await again.states()).toEqual({ 1: 'active', 2: 'previous' })
  expect(await again.send()).toEqual(['balances:2:1'])
})

test('a generation without a file, or with one that is damaged, keeps nobody from beginning', async () => {
  const site = generations()
  const worker = await site.work(balances())
  await site.move('ada', -1)
  await worker.settle()
  await worker.stop()
  const file = join(site.data, 'views', 'balances.1.db')
  const db = new DatabaseSync(file)
  db.exec('DROP TABLE checkpoint')
  db.close()
  expect(await begin(site.data)).toEqual([])
  const empty = generations()
  expect(await begin(empty.data)).toEqual([])
  expect(existsSync(join(empty.data, 'views'))).toBe(false)
})
