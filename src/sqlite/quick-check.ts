import type { DatabaseSync } from 'node:sqlite'

/**
 * Has SQLite read and check every page of a database (https://www.sqlite.org/pragma.html#pragma_quick_check).
 *
 * @returns the first problem, on one line; undefined if there is none
 */
export function quickCheck(db: DatabaseSync): string | undefined {
  const [found] = Object.values(db.prepare('PRAGMA quick_check(1)').get() ?? {})
  if (found === 'ok') return undefined
  return String(found)
    .replace(/^\*\*\* in database main \*\*\*\n/, '')
    .replaceAll('\n', '; ')
}
