import type { DatabaseSync } from 'node:sqlite'

/**
 * Reads every page of a database, as SQLite checks it (https://www.sqlite.org/pragma.html#pragma_quick_check).
 *
 * @returns the first thing that is wrong, on one line; undefined if nothing is found
 */
export function quickCheck(db: DatabaseSync): string | undefined {
  const [found] = Object.values(db.prepare('PRAGMA quick_check(1)').get() ?? {})
  if (found === 'ok') return undefined
  return String(found)
    .replace(/^\*\*\* in database main \*\*\*\n/, '')
    .replaceAll('\n', '; ')
}
