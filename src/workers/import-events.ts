import { existsSync, rmSync } from 'node:fs'
import type { Config } from '../config/config.ts'
import { dataPaths, roleLock } from '../config/paths.ts'
import type { App } from '../kernel/app.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { EventLog } from '../log/contract.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import { type ImportOutcome, importEvents } from '../log/sqlite/import.ts'
import { recorded } from '../operator/actions.ts'
import type { Operator } from '../operator/operation.ts'
import { openSqliteActionStore } from '../operator/sqlite/action-store.ts'
import { tryOwn } from '../sqlite/owner-lock.ts'
import { storeFiles } from '../sqlite/store-files.ts'
import { madeOfOthers, type PlaceAhead, viewsAhead } from './projections/log-reaches-views.ts'

export interface OfflineImport {
  readonly config: Config
  /** The file, in pieces. */
  readonly bytes: AsyncIterable<Uint8Array>
  /** What the file is called, for the record. */
  readonly name: string
  /** The app of the data folder. */
  readonly app: App
  /** Also take events of an app that has another name. */
  readonly otherApp: boolean
  readonly operator: Operator
  onProgress?(events: number, of: number): void
}

/** What an import did to a data folder. */
export interface OfflineImportOutcome extends ImportOutcome {
  /**
   * Views that were ahead of the log before the import, and were made of other events than it has now: one text for
   * each, which names its file. Absent if there are none.
   */
  readonly otherEvents?: readonly string[]
}

/**
 * Imports a file of events into the log of a data folder. Its commands worker must be stopped: only one process at a
 * time may assign positions, and during the import this one does. Projections may keep running; they see the whole
 * import at once.
 *
 * A view that has applied more than the log holds was made either of the events that are imported now, as when the log
 * was lost, or of other events, as when only the log was removed to start over. Such views are compared with the log
 * after the import. The check at the next start would not find the difference: it only compares positions.
 *
 * @throws CqrsError CQRS_STORE_LOCKED while a commands worker is at work, CQRS_IMPORT_INVALID, or a store error
 */
export async function importOffline(options: OfflineImport): Promise<OfflineImportOutcome> {
  const { config, name, operator, app, otherApp, ...rest } = options
  const { events, snapshots, actions: actionsPath } = dataPaths(config.data)
  const outcome = tryOwn(roleLock(config.data, 'commands'))
  if (!outcome.held) {
    const who = outcome.pid === undefined ? '' : ` (process ${outcome.pid})`
    throw new CqrsError(
      'CQRS_STORE_LOCKED',
      `The commands worker${who} of ${config.data} is running, and only one process may write the log. Stop the system, import the file, then start it again.`,
      { details: { pid: outcome.pid } },
    )
  }
  try {
    const actions = openSqliteActionStore(actionsPath)
    try {
      const action = { operation: 'events import', input: { file: name }, ...operator }
      return await recorded({ actions, now: () => new Date() }, action, async () => {
        const log = openSqliteEventLog({ path: events })
        try {
          const ahead = await aheadOf(log, app, config.data)
          // The snapshots were folded from events with the same ids, which somebody may have edited since. They are
          // only a cache.
          for (const file of storeFiles(snapshots)) rmSync(file, { force: true })
          const outcome = await importEvents({ path: events, app: otherApp ? undefined : app.name, ...rest })
          const otherEvents = await madeOfOthers(ahead, log)
          return otherEvents.length > 0 ? { ...outcome, otherEvents } : outcome
        } finally {
          await log.close()
        }
      })
    } finally {
      await actions.close()
    }
  } finally {
    outcome.lock.release()
  }
}

/** If the folder has no views, none are created. */
async function aheadOf(log: EventLog, app: App, data: string): Promise<PlaceAhead[]> {
  return existsSync(dataPaths(data).views) ? viewsAhead(app, data, log) : []
}
