import { dataPaths } from '../../config/paths.ts'
import { openSqliteControl } from '../../control/sqlite/control-store.ts'
import { type Place, placesOf } from '../../generations/place.ts'
import type { App } from '../../kernel/app.ts'
import { CqrsError } from '../../kernel/errors.ts'
import type { Position } from '../../kernel/position.ts'
import { handledTypes, type ProjectionDefinition } from '../../kernel/projection.ts'
import type { EventLog } from '../../log/contract.ts'
import { AUDIT_START, auditStep } from '../../projection/audit.ts'
import { unlessDamaged } from '../../projection/damage.ts'
import { openSqliteViewReader } from '../../projection/sqlite/view-reader.ts'
import { markPath, readHighWater } from '../../sqlite/high-water.ts'
import { adoptViews } from './adopt.ts'
import { placePath } from './view-storage.ts'

/**
 * Refuses a log that is too short: it ends before a position that a view has applied, or that the log's own mark says
 * it acknowledged. That happens when an older copy of the log was put back, or its write-ahead log was cut short. The
 * later events are gone, and new events would get positions that the views have already passed.
 *
 * Both the process that appends and those that apply call this at their start, so that the log cannot grow past the
 * views before anybody has checked. A damaged view says nothing about the log, and keeps nobody from working.
 *
 * @param data the data folder
 * @throws CqrsError CQRS_LOG_TOO_SHORT that names the mark and each such view
 */
export async function assertLogReachesViews(app: App, data: string, events: EventLog): Promise<void> {
  const ahead: string[] = []
  // Read the mark first, then the head: a log that grows in between is never shorter than the mark.
  const acknowledged = readHighWater(dataPaths(data).events)
  const mark = markPath(dataPaths(data).events)
  if (acknowledged > (await events.head()))
    ahead.push(`${mark} says that position ${acknowledged} was stored`)
  for (const { path, position } of await viewsAhead(app, data, events))
    ahead.push(`${path} has applied events up to position ${position}`)
  if (ahead.length === 0) return
  throw new CqrsError(
    'CQRS_LOG_TOO_SHORT',
    `The event log ends at position ${await events.head()}, but ${ahead.join(', ')}. Put back the newest copy of the ` +
      'log. Or, if the later events are really lost, move these files away: the views are then rebuilt from the log.',
  )
}

/** A part of a view that has applied more than the log holds. */
export interface PlaceAhead extends Place {
  /** Its file. */
  readonly path: string
  readonly position: Position
}

/** The parts of views that are ahead of the log. Damaged parts are left out, because they say nothing about it. */
export async function viewsAhead(app: App, data: string, events: EventLog): Promise<PlaceAhead[]> {
  const ahead: PlaceAhead[] = []
  for (const place of await placesInUse(app, data)) {
    const path = placePath(data, place)
    // Read the position first, then the head: a view that advances in between is never ahead of a head that is read
    // later.
    const { result: position } = await unlessDamaged(() => positionOf(path, place.projection))
    if (position !== undefined && position > (await events.head())) ahead.push({ ...place, path, position })
  }
  return ahead
}

/**
 * The parts among `places` that were made of other events than the log has now, as texts that name the file. A part of
 * another version than the code's is skipped, because its digest covers other types of events. So is a part that is
 * still ahead of the log.
 */
export async function madeOfOthers(places: readonly PlaceAhead[], log: EventLog): Promise<string[]> {
  const found: string[] = []
  const head = await log.head()
  for (const { projection, partition, version, path, position } of places) {
    if (version !== projection.version || position > head) continue
    const view = openSqliteViewReader(path, projection)
    try {
      const marks = await view.marks(0)
      const types = handledTypes(projection)
      const step = await auditStep({ log, types, partition, progress: AUDIT_START, marks, limit: position })
      if (step.kind === 'found') found.push(`${path}: ${step.finding.message}`)
    } finally {
      await view.close()
    }
  }
  return found
}

async function positionOf(path: string, projection: ProjectionDefinition): Promise<Position> {
  const view = openSqliteViewReader(path, projection)
  try {
    return await view.position()
  } finally {
    await view.close()
  }
}

/** The parts of all generations that serve, or may serve later. */
async function placesInUse(app: App, data: string): Promise<Place[]> {
  const control = openSqliteControl({ path: dataPaths(data).control })
  try {
    await adoptViews(app, data, control)
    const places: Place[] = []
    for (const projection of app.projections.values()) {
      for (const generation of (await control.projection(projection.name))?.generations ?? []) {
        places.push(...placesOf(generation, projection))
      }
    }
    return places
  } finally {
    await control.close()
  }
}
