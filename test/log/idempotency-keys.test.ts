import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { IdempotencyKeys } from '../../src/log/sqlite/idempotency-keys.ts'
import { eventLogSchema } from '../../src/log/sqlite/schema.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { tempFolder } from '../support/temp-folder.ts'

const DAY = 86_400_000

/** The keys of a log, on clocks that the test moves. */
function keys({ path = join(tempFolder(), 'events.db'), forEver = false } = {}) {
  const db = openDatabase({ path, schema: eventLogSchema })
  onTestFinished(() => {
    if (db.isOpen) db.close()
  })
  const clock = { monotonic: 0, wall: 1_700_000_000_000 }
  const known = new IdempotencyKeys(db, {
    keepMs: forEver ? undefined : 30 * DAY,
    monotonic: () => clock.monotonic,
  })
  const commit = (names: readonly string[], end: 'COMMIT' | 'ROLLBACK' = 'COMMIT') => {
    db.exec('BEGIN IMMEDIATE')
    known.begin()
    for (const key of names) {
      const command = { key, fingerprint: key, stream: 's', position: 1, version: 1, events: 1 }
      known.add(command, clock.wall)
    }
    known.prune()
    db.exec(end)
  }
  const count = () => Number(db.prepare('SELECT count(*) AS rows FROM commands').get()?.rows)
  return { path, db, clock, known, commit, count }
}

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`)

test('a key is known for its time and then makes room, two for each new one', () => {
  const { clock, known, commit, count } = keys()
  commit(names('old', 10))
  clock.monotonic += 30 * DAY
  commit(['young'])
  expect(known.find('old-0')).toBeDefined()
  clock.monotonic += 1
  commit(['next'])
  expect(count()).toBe(10)
  for (const key of names('more', 4)) commit([key])
  expect(names('old', 10).filter((key) => known.find(key))).toEqual([])
  expect(count()).toBe(6)
})

test('no transaction removes more than its share, however much has expired', () => {
  const { clock, commit, count } = keys()
  commit(names('old', 2_000))
  clock.monotonic += 31 * DAY
  commit(names('new', 1_000))
  expect(count()).toBe(2_000 - 256 + 1_000)
})

test('a commit that fails keeps what it would have removed', () => {
  const { clock, known, commit } = keys()
  commit(['old'])
  clock.monotonic += 31 * DAY
  commit(['new'], 'ROLLBACK')
  expect(known.find('old')).toBeDefined()
})

test('a wall clock that jumps, or is wrong from the start, makes no key older', () => {
  const first = keys()
  first.commit(['old'])
  first.clock.wall += 365 * DAY
  first.commit(['new'])
  expect(first.known.find('old')).toBeDefined()
  first.db.close()
  const second = keys({ path: first.path })
  second.clock.wall += 3_650 * DAY
  second.commit(['later'])
  expect(second.known.find('old')).toBeDefined()
})

test('a key goes on growing old over restarts, and not while the log is at rest', () => {
  const first = keys()
  first.commit(['old'])
  first.clock.monotonic += 20 * DAY
  first.commit(['middle'])
  first.db.close()
  const second = keys({ path: first.path })
  second.commit(['after'])
  second.clock.monotonic += 10 * DAY + 1
  second.commit(['last'])
  expect(second.known.find('old')).toBeUndefined()
  expect(second.known.find('middle')).toBeDefined()
})

test('without a limit keys are kept for ever', () => {
  const { clock, known, commit } = keys({ forEver: true })
  commit(['old'])
  clock.monotonic += 3_650 * DAY
  commit(['new'])
  expect(known.find('old')).toBeDefined()
})

test('what has expired is found by an index, not by a scan', () => {
  const { db } = keys()
  const plan = db
    .prepare('EXPLAIN QUERY PLAN SELECT key FROM commands WHERE running_ms < 1 ORDER BY running_ms LIMIT 2')
    .all()
  expect(plan.map(({ detail }) => detail)).toEqual([
    'SEARCH commands USING COVERING INDEX commands_by_age (running_ms<?)',
  ])
})
