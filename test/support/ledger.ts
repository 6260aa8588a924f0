import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { openSqliteEventLog, type SqliteEventLogOptions } from '../../src/log/sqlite/event-log.ts'
import type { ViewStore } from '../../src/projection/contract.ts'
import { Projector, type ProjectorOptions } from '../../src/projection/projector.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../src/projection/turns.ts'
import { balances, ledgerCatalog } from './ledger-app.ts'
import { tempFolder } from './temp-folder.ts'

/** A log, a view and projectors on them, in a folder of their own. */
export function ledger(
  projection: ProjectionDefinition = balances(),
  options: Partial<SqliteEventLogOptions> = {},
) {
  const folder = tempFolder()
  const logPath = join(folder, 'events.db')
  const log = openSqliteEventLog({ path: logPath, ...options })
  const viewPath = join(folder, 'balances.1.db')
  const views: ViewStore[] = []
  const clock = { now: 1_700_000_000_000 }
  onTestFinished(async () => {
    await log.close()
    for (const view of views) await view.close()
  })

  const openView = () => {
    const view = openSqliteView(viewPath, projection)
    views.push(view)
    return view
  }
  const view = openView()

  return {
    log,
    view,
    viewPath,
    logPath,
    clock,
    openView,
    projector: (overrides: Partial<ProjectorOptions> = {}) =>
      new Projector({
        projection,
        catalog: ledgerCatalog,
        log,
        view,
        policy: { maxAttempts: 3, baseMs: 100, capMs: 1_000 },
        turns: new Turns(),
        batchSize: 100,
        documentCache: { documents: 100, bytes: 64_000_000 },
        now: () => clock.now,
        random: () => 0.5,
        ...overrides,
      }),
    /** Appends one movement to the stream of its account. */
    async move(account: string, amount: number, to?: string) {
      const history = await log.history(account, { limit: 1 })
      await log.append({
        stream: account,
        expectedVersion: history[0]?.version ?? 0,
        events: [{ type: 'moved', schemaVersion: 1, data: { account, amount, to } }],
        metadata: { commandId: 'c', correlationId: 'c' },
      })
    },
    /** Appends an event as it is, parseable or not. */
    async appendRaw(stream: string, expectedVersion: number, type: string, data: unknown, schemaVersion = 1) {
      await log.append({
        stream,
        expectedVersion,
        events: [{ type, schemaVersion, data }],
        metadata: { commandId: 'c', correlationId: 'c' },
      })
    },
    async document(account: string) {
      return (await view.load([account])).get(account)
    },
  }
}

/** Steps until nothing is left. */
export async function toHead(projector: Projector): Promise<void> {
  while ((await projector.step()) !== 'at-head');
}
