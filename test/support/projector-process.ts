import { existsSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { EffectSender } from '../../src/projection/effect-sender.ts'
import { Projector } from '../../src/projection/projector.ts'
import { ProjectionRunner } from '../../src/projection/runner.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../src/projection/turns.ts'
import { ledgerCatalog } from './ledger-app.ts'
import { touched } from './touched.ts'

/*
 * A projections process as the worker wires it, without the lock that keeps a second one from its view:
 * `projector-process.ts FOLDER`. The folder holds `events.db` and `touched.1.db`; a file named `ill-<account>` makes
 * the handler fail for the account; each effect that is taken is a line of the file `effects`.
 */
const [folder = ''] = process.argv.slice(2)
const effects = openSync(join(folder, 'effects'), 'a')
const projection = touched((account) => existsSync(join(folder, `ill-${account}`)))
const log = openSqliteEventLog({ path: join(folder, 'events.db') })
const view = openSqliteView(join(folder, 'touched.1.db'), projection)
const shared = { view, baseMs: 10, capMs: 20, now: Date.now, log: pino({ level: 'silent' }) }
const runner = new ProjectionRunner({
  ...shared,
  projector: new Projector({
    projection,
    catalog: ledgerCatalog,
    log,
    view,
    policy: { maxAttempts: 1_000_000, baseMs: 10, capMs: 20 },
    turns: new Turns(),
    batchSize: 3,
    documentCache: { documents: 100, bytes: 64_000_000 },
    now: Date.now,
    random: Math.random,
  }),
  effects: new EffectSender({
    ...shared,
    send: async (_, idempotencyKey) => {
      writeSync(effects, `${idempotencyKey}\n`)
      return 'sent'
    },
    maxAttempts: 1,
    maxStops: 10,
    atOnce: 4,
    signal: new AbortController().signal,
  }),
  sweepIntervalMs: 10,
})
await runner.start()
process.send?.('ready')
