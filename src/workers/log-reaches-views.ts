import { existsSync } from 'node:fs'
import { viewPath } from '../config/paths.ts'
import type { App } from '../kernel/app.ts'
import { CqrsError } from '../kernel/errors.ts'
import { allUnits } from '../kernel/unit.ts'
import type { EventLog } from '../log/contract.ts'
import { openSqliteViewReader } from '../projection/sqlite/view-reader.ts'

/**
 * Refuses a log that ends before what a view has applied, as after an older copy of it was put back: new
 * events would get positions that the view has passed, and would never be applied.
 *
 * Both who appends and who applies ask, each at its start, so that the log cannot grow past the views
 * before anybody has looked.
 *
 * @param data the data folder
 * @throws CqrsError CQRS_LOG_TOO_SHORT that names each such view
 */
export async function assertLogReachesViews(app: App, data: string, events: EventLog): Promise<void> {
  const ahead: string[] = []
  for (const { projection, partition } of allUnits(app)) {
    const path = viewPath(data, projection.name, { partition })
    if (!existsSync(path)) continue
    const view = openSqliteViewReader(path, projection)
    try {
      // In this order: a view that is at work meanwhile is never ahead of a head read afterwards.
      const position = await view.position()
      if (position > (await events.head())) ahead.push(`${path} has applied up to ${position}`)
    } finally {
      view.close()
    }
  }
  if (ahead.length === 0) return
  throw new CqrsError(
    'CQRS_LOG_TOO_SHORT',
    `The event log ends at ${await events.head()}, but ${ahead.join(', ')}. Put back the newest copy of the ` +
      'log; or, if what came after is really lost, move these view files away: they are built anew.',
  )
}
