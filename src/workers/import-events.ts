import type { Config } from '../config/config.ts'
import { dataPaths, roleLock } from '../config/paths.ts'
import { CqrsError } from '../kernel/errors.ts'
import { type ImportOutcome, importEvents } from '../log/sqlite/import.ts'
import { recorded } from '../operator/actions.ts'
import type { Operator } from '../operator/operations.ts'
import { openSqliteActionStore } from '../operator/sqlite/action-store.ts'
import { tryOwn } from '../sqlite/owner-lock.ts'

export interface OfflineImport {
  readonly config: Config
  /** The file, in pieces. */
  readonly bytes: AsyncIterable<Uint8Array>
  /** What the file is called, for the record. */
  readonly name: string
  /** The app whose events they have to be; undefined: of whichever. */
  readonly app: string | undefined
  readonly operator: Operator
  onProgress?(events: number, of: number): void
}

/**
 * Imports a file of events into the log of a data folder whose commands worker is stopped: positions have one
 * giver, and for the time of the import it is this process. Projections may run on; they see all of it at once.
 *
 * @throws CqrsError CQRS_STORE_LOCKED while a commands worker is at work, CQRS_IMPORT_INVALID, or a store error
 */
export async function importOffline(options: OfflineImport): Promise<ImportOutcome> {
  const { config, name, operator, ...rest } = options
  const { events, actions: actionsPath } = dataPaths(config.data)
  const outcome = tryOwn(roleLock(config.data, 'commands'))
  if (!outcome.held) {
    const who = outcome.pid === undefined ? '' : ` (process ${outcome.pid})`
    throw new CqrsError(
      'CQRS_STORE_LOCKED',
      `The commands worker${who} of ${config.data} is at work, and only one process may write the log. Stop the system, import, and start it again.`,
      { details: { pid: outcome.pid } },
    )
  }
  try {
    const actions = openSqliteActionStore(actionsPath)
    try {
      const action = { operation: 'events import', input: { file: name }, ...operator }
      return await recorded({ actions, now: () => new Date() }, action, () =>
        importEvents({ path: events, ...rest }),
      )
    } finally {
      await actions.close()
    }
  } finally {
    outcome.lock.release()
  }
}
