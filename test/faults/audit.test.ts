import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { dataPaths, viewPath } from '../../src/config/paths.ts'
import { checksum, type EventRow } from '../../src/log/sqlite/row.ts'
import { settledMore, startLoad } from '../support/load.ts'
import { runProgram } from '../support/program.ts'
import { testSeed } from '../support/random.ts'
import { newSite, type Site, startSystem } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'

/** A way to damage a store, and what the audit has to say of it. */
interface Vandalism {
  readonly store: 'log' | 'view'
  readonly table: string
  readonly sql: string | ((db: DatabaseSync) => void)
  readonly found: RegExp
}

/** What a careful forger changes: an event together with its checksum. */
function forge(db: DatabaseSync, position: number, change: Partial<EventRow>): void {
  const row = db.prepare('SELECT * FROM events WHERE position = ?').get(position) as unknown as EventRow
  const forged = { ...row, ...change }
  const columns = Object.keys(forged).map((column) => `${column} = ?`)
  db.prepare(`UPDATE events SET ${columns.join(', ')} WHERE position = ?`).run(
    ...Object.values({ ...forged, checksum: checksum(forged) }),
    position,
  )
}

const CHANGED = /position 6 agrees\. The event at position 7 is not what was written/

const VANDALISM: Readonly<Record<string, Vandalism>> = {
  'other bytes in an event': {
    store: 'log',
    table: 'events',
    sql: `UPDATE events SET data = data || ' ' WHERE position = 7`,
    found: CHANGED,
  },
  'an event that is gone': {
    store: 'log',
    table: 'events',
    sql: 'DELETE FROM events WHERE position = 7',
    found: /position 6 agrees\. The log has no event at position 7/,
  },
  'two events that changed places': {
    store: 'log',
    table: 'events',
    sql: `UPDATE events SET position = -1 WHERE position = 7; UPDATE events SET position = 7 WHERE position = 8;
      UPDATE events SET position = 8 WHERE position = -1`,
    found: CHANGED,
  },
  'two events that changed places, with checksums to match': {
    store: 'log',
    table: 'events',
    sql(db) {
      forge(db, 7, { position: -1 })
      forge(db, 8, { position: 7 })
      forge(db, -1, { position: 8 })
    },
    found: /Up to position \d+ the log has .*: it processed other events than the log has/,
  },
  'another event in the place of one': {
    store: 'log',
    table: 'events',
    sql: (db) => forge(db, 7, { id: '01890000-0000-7000-8000-000000000000' }),
    found: /Up to position \d+ the log has .*: it processed other events than the log has/,
  },
  'a log without its end': {
    store: 'log',
    table: 'events',
    sql: 'DELETE FROM events WHERE position > 20',
    found: /position 20 agrees\. The log has no event at position 21/,
  },
  'a mark that is not of the log': {
    store: 'view',
    table: 'digest_marks',
    sql: `INSERT INTO digest_marks VALUES (9, 9, '${'0'.repeat(64)}')`,
    found: /Up to position 9 the log has 9 events .*: it processed other events than the log has/,
  },
  'a checkpoint that was set back': {
    store: 'view',
    table: 'checkpoint',
    sql: 'UPDATE checkpoint SET position = position - 1',
    found: /Up to position \d+ the log has \d+ events .*: it processed 1 too many/,
  },
  'a checkpoint that was set ahead': {
    store: 'view',
    table: 'checkpoint',
    sql: 'UPDATE checkpoint SET position = position + 3',
    found: /The log has no event at position \d+/,
  },
  'an event that was applied twice': {
    store: 'view',
    table: 'checkpoint',
    sql: `UPDATE checkpoint SET processed = processed + 1, digest = '${'a'.repeat(64)}'`,
    found: /it processed 1 too many/,
  },
  'an event that was left out': {
    store: 'view',
    table: 'checkpoint',
    sql: `UPDATE checkpoint SET processed = processed - 1, digest = '${'a'.repeat(64)}'`,
    found: /it left out 1/,
  },
  'another digest': {
    store: 'view',
    table: 'checkpoint',
    sql: `UPDATE checkpoint SET digest = replace(digest, substr(digest, 1, 1), 'x')`,
    found: /it processed other events than the log has/,
  },
}

/** Damages a table behind the system's back; gives what puts it back as it was. */
function vandalise(path: string, { table, sql }: Vandalism): () => void {
  const db = new DatabaseSync(path)
  const rows = db.prepare(`SELECT * FROM ${table}`).all()
  if (typeof sql === 'string') db.exec(sql)
  else sql(db)
  return () => {
    db.exec(`BEGIN; DELETE FROM ${table}`)
    for (const row of rows) {
      const values = Object.values(row)
      db.prepare(`INSERT INTO ${table} VALUES (${values.map(() => '?').join(', ')})`).run(...values)
    }
    db.exec('COMMIT')
    db.close()
  }
}

const cqrs = (site: Site, ...args: string[]) =>
  runProgram(args, join(site.data, '..'), { ...site.env, III_URL: site.engine })

const audit = (site: Site, projection: string) => cqrs(site, 'audit', projection)

test('cqrs audit finds every way in which log and view can differ, names the position, and ends with 1', async () => {
  const site = await newSite()
  await startSystem(site)
  const load = await startLoad({ http: site.http, seed: testSeed(), clients: 2 })
  await settledMore(load, 40)
  await load.finish()
  await expectTruth(site, load.settled)

  // Every event of the inventory is one of the list's.
  const stores = { log: dataPaths(site.data).events, view: viewPath(site.data, 'inventory-list') }
  for (const [name, vandalism] of Object.entries(VANDALISM)) {
    const restore = vandalise(stores[vandalism.store], vandalism)
    const { exitCode, stdout } = await audit(site, 'inventory-list')
    restore()
    expect.soft(stdout, name).toMatch(vandalism.found)
    expect.soft(stdout, name).toContain('NOT certified')
    expect.soft(exitCode, name).toBe(1)
  }
  const { exitCode, stdout } = await audit(site, 'inventory-list')
  expect(stdout).toMatch(/certified through position \d+: \d+ events, 0 missing, 0 doubled, 0 parked/)
  expect(exitCode).toBe(0)

  // What docs/operate.md says to do leads out of it.
  vandalise(stores.view, VANDALISM['another digest'] as Vandalism)
  const refused = await audit(site, 'inventory-list')
  expect(refused.stdout).toContain('docs/operate.md, "A view that differs from the log"')
  expect(await cqrs(site, 'rebuild', 'inventory-list')).toMatchObject({ exitCode: 0 })
  expect(await audit(site, 'inventory-list')).toMatchObject({ exitCode: 0 })
}, 180_000)
