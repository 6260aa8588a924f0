import { type LoadOptions, unknownVariables } from '../../config/load.ts'
import { assertSqliteVersion, OLDEST_SQLITE } from '../../sqlite/open.ts'
import { type Check, fail, ok, warn } from './check.ts'

/** A clock that shows an earlier time than this is certainly wrong. */
const EARLIEST = Date.UTC(2026, 0, 1)

/** Checks the versions of Node and of its SQLite. */
export function checkRuntime(versions: { readonly node: string; readonly sqlite?: string }): Check[] {
  const major = Number(versions.node.split('.')[0])
  const sqlite = versions.sqlite ?? '0'
  return [
    major >= 24
      ? ok('node', versions.node)
      : fail('node', versions.node, 'Use Node 24 or newer; the npm scripts of this project bring their own.'),
    isGoodSqlite(sqlite)
      ? ok('sqlite', sqlite)
      : fail('sqlite', sqlite, `Use a Node with SQLite ${OLDEST_SQLITE} or newer.`),
  ]
}

/** Checks whether the clock can be right, also compared with the last write (`newest`, in ms since 1970). */
export function checkClock(now: number, newest: number | undefined): Check {
  const time = new Date(now).toISOString()
  if (now < EARLIEST) return fail('clock', time, 'Set the clock: events are stamped with its time.')
  if (newest !== undefined && newest > now + 2_000) {
    return warn(
      'clock',
      `${time}, but the data was written ${new Date(newest).toISOString()}`,
      'The clock was set back; order is kept, but times of events and retries will be wrong. Let NTP set it.',
    )
  }
  return ok('clock', time)
}

/** Reports environment variables that look like settings but are not. */
export function checkEnvironment(source: LoadOptions): Check[] {
  return unknownVariables(source).map(({ name, nearest }) =>
    warn(
      'environment',
      `${name} is not a setting`,
      nearest ? `Did you mean ${nearest}?` : 'Remove it; iii.config.yaml lists the settings.',
    ),
  )
}

function isGoodSqlite(version: string): boolean {
  try {
    assertSqliteVersion(version)
    return true
  } catch {
    return false
  }
}
