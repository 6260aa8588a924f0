import { existsSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { dataPaths } from '../../config/paths.ts'
import { markPath, readHighWater } from '../../sqlite/high-water.ts'
import { lookInto } from '../../sqlite/look-into.ts'
import { type Check, fail } from './check.ts'

/**
 * Checks whether the event log ends before an event that it acknowledged or that a view has applied. The next start
 * refuses such a log (see src/workers/projections/log-reaches-views.ts). Only reads the stores, and needs no app. A store that
 * cannot be read is left out: the checks of the stores report it.
 *
 * @returns one failed check, or none
 */
export function checkLogEnd(data: string): Check[] {
  const paths = dataPaths(data)
  // These positions are read before the end of the log. Otherwise, events that are appended in between would make it
  // look as if a running system had lost events.
  const reached = [
    { by: `${relative(data, markPath(paths.events))} records`, position: readHighWater(paths.events) },
    ...knownViews(data).map((path) => ({
      by: `${relative(data, path)} has applied`,
      position: numberIn(path, 'SELECT position AS found FROM checkpoint') ?? 0,
    })),
  ]
  const head = existsSync(paths.events)
    ? numberIn(paths.events, 'SELECT coalesce(max(position), 0) AS found FROM events')
    : 0
  if (head === undefined) return []
  const ahead = reached.filter(({ position }) => position > head)
  if (ahead.length === 0) return []
  return [
    fail(
      'end of the log',
      `ends at ${head}, but ${ahead.map(({ by, position }) => `${by} ${position}`).join(', ')}`,
      'The next start ends with CQRS_LOG_TOO_SHORT. Put back the newest copy of events.db; see docs/operate.md, "A backup ' +
        'with the log older than the rest".',
    ),
  ]
}

/** The files of the views whose generations are in control.db. Without control.db, all views: a start adopts them. */
function knownViews(data: string): string[] {
  const { control, views } = dataPaths(data)
  if (!existsSync(views)) return []
  const known = existsSync(control) ? generations(control) : undefined
  return readdirSync(views)
    .filter((name) => name.endsWith('.db'))
    .filter((name) => known?.has(name.replace(/(?:\.\d+of\d+)?\.db$/, '')) ?? true)
    .map((name) => join(views, name))
    .sort()
}

function generations(control: string): Set<string> | undefined {
  const rows = read(control, "SELECT projection || '.' || generation AS found FROM generations")
  return rows && new Set(rows.map(String))
}

function numberIn(path: string, query: string): number | undefined {
  const rows = read(path, query)
  return rows && Number(rows[0] ?? 0)
}

/** The column `found` of each row; undefined if the store cannot be read. */
function read(path: string, query: string): unknown[] | undefined {
  const found = (db: DatabaseSync) =>
    db
      .prepare(query)
      .all()
      .map((row) => row.found)
  return lookInto(path, found, 1_000)
}
