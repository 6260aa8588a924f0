import { mkdirSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { viewPath } from '../../../src/config/paths.ts'
import { defineApp } from '../../../src/kernel/app.ts'
import { openSqliteEventLog } from '../../../src/log/sqlite/event-log.ts'
import { assertLogReachesViews } from '../../../src/workers/projections/log-reaches-views.ts'
import { ledger, toHead } from '../../support/ledger.ts'
import { balances } from '../../support/ledger-app.ts'

const projection = balances()
const app = defineApp({ name: 'ledger', deciders: [], reactors: [projection] })

test('a log that ends before what a view has applied is refused by name; one as long as its views is not', async () => {
  const { log, logPath, move, projector, view, viewPath: built } = ledger(projection)
  const data = dirname(logPath)
  await assertLogReachesViews(app, data, log)
  for (const amount of [1, 2, 3]) await move('ada', amount)
  await toHead(projector())
  await view.close()
  const path = viewPath(data, 'balances')
  mkdirSync(dirname(path))
  renameSync(built, path)
  await assertLogReachesViews(app, data, log)

  const older = openSqliteEventLog({ path: join(data, 'older.db') })
  const refused = assertLogReachesViews(app, data, older)
  await expect(refused).rejects.toMatchObject({
    code: 'CQRS_LOG_TOO_SHORT',
    message: expect.stringContaining(`${path} has applied events up to position 3`),
  })
  await older.close()
})
