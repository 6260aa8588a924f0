import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { dataPaths, viewPath } from '../../src/config/paths.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { checkLogEnd } from '../../src/operator/doctor/log-end.ts'
import { markPath } from '../../src/sqlite/high-water.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** A data folder whose log has three events, all of them applied by generation 1 of a view. */
async function threeEvents() {
  const { logPath, move, projector, view, viewPath: built } = ledger()
  const data = dirname(logPath)
  for (const amount of [1, 2, 3]) await move('ada', amount)
  await toHead(projector())
  await view.close()
  const path = viewPath(data, 'balances')
  mkdirSync(dirname(path))
  renameSync(built, path)
  return { data }
}

/** Puts an empty log in the place of the one that is there. */
async function emptyLog(data: string) {
  const { events } = dataPaths(data)
  for (const suffix of ['', '-wal', '-shm']) renameSync(events + suffix, `${events}-newer${suffix}`)
  await openSqliteEventLog({ path: events }).close()
}

test('a log that reaches its views passes, and so does a folder without anything', async () => {
  expect(checkLogEnd((await threeEvents()).data)).toEqual([])
  expect(checkLogEnd(tempFolder())).toEqual([])
})

test('a log that ends before what it acknowledged or a view has applied fails, and both are named', async () => {
  const { data } = await threeEvents()
  await emptyLog(data)
  expect(checkLogEnd(data)).toMatchObject([
    {
      status: 'fail',
      found: 'ends at 0, but events.db-mark records 3, views/balances.1.db has applied 3',
      advice: expect.stringContaining('CQRS_LOG_TOO_SHORT'),
    },
  ])
})

test('a view of a generation that control.db does not know says nothing about the log', async () => {
  const { data } = await threeEvents()
  await emptyLog(data)
  writeFileSync(markPath(dataPaths(data).events), '')
  expect(checkLogEnd(data)).toMatchObject([{ found: 'ends at 0, but views/balances.1.db has applied 3' }])
  const control = openSqliteControl({ path: dataPaths(data).control })
  await control.adopt({ projection: 'balances', generation: 2, version: 1, partitions: 1 })
  await control.close()
  expect(checkLogEnd(data)).toEqual([])
})
