import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { parseQueueSettings } from '../../src/queue/settings.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { tempFolder } from '../support/temp-folder.ts'

const message = (id: string) => ({ queue: 'jobs', id, functionId: 'f', group: undefined, data: '1' })

test('the newest receipts are known for certain, older ones are forgotten, in memory and on disk', async () => {
  const folder = tempFolder()
  const open = () => openSqliteQueueStore({ folder, rememberedReceipts: 100 })
  let store = await open()
  await store.define('jobs', { settings: parseQueueSettings('jobs', {}), subscription: undefined })
  const ids = Array.from({ length: 1_000 }, (_, index) => `r${index}`)
  for (const id of ids) await store.enqueue([message(id)])
  for (const reopened of [false, true]) {
    if (reopened) {
      await store.close()
      store = await open()
    }
    const outcomes = await store.enqueue(ids.slice(-100).map(message))
    expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['duplicate']))
  }
  expect(await store.enqueue([message('r0')])).toEqual([{ outcome: 'accepted', seq: 1_001 }])
  await store.close()
  const db = new DatabaseSync(join(folder, 'queue.db'), { readOnly: true })
  const { rows } = db.prepare('SELECT count(*) AS rows FROM receipts').get() as { rows: number }
  db.close()
  expect(rows).toBeLessThanOrEqual(264)
})
