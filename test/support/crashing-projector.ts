import { EventCatalog } from '../../src/kernel/event.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { Projector } from '../../src/projection/projector.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../src/projection/turns.ts'
import { balances, Moved, Noted } from './ledger-app.ts'

/**
 * A projections process whose handler kills it whenever it meets the amount 666. Runs to the head, then
 * retries what is due, and says how it ended.
 */
const [logPath, viewPath, now] = process.argv.slice(2) as [string, string, string]
const projection = balances({
  fails: (_, amount) => {
    if (amount === 666) process.kill(process.pid, 'SIGKILL')
    return false
  },
})
const log = openSqliteEventLog({ path: logPath })
const view = openSqliteView(viewPath, projection)
const projector = new Projector({
  projection,
  catalog: new EventCatalog([Moved, Noted]),
  log,
  view,
  policy: { maxAttempts: 3, baseMs: 100, capMs: 100 },
  turns: new Turns(),
  batchSize: 100,
  documentCache: { documents: 100, bytes: 64_000_000 },
  now: () => Number(now),
  random: () => 0,
})
while ((await projector.step()) !== 'at-head');
await projector.retryDue()
process.stdout.write('at the head')
await view.close()
await log.close()
