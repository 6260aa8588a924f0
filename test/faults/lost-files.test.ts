import { cpSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CqrsProcess } from '../support/cqrs-process.ts'
import { settledMore, startLoad } from '../support/load.ts'
import { testSeed } from '../support/random.ts'
import { newSite, startPart, startParts } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'

/*
 * Files that are gone or cut short, in the data folder of a system that was killed: SQLite would begin anew, or at an
 * older state, without a word. No view has seen the last events, so nothing but the mark beside a store can tell.
 */

const LOG_LOSSES: Readonly<Record<string, (data: string) => void>> = {
  'the log is gone': (data) => remove(data, 'events.db', 'events.db-wal', 'events.db-shm'),
  'the log is empty': (data) => truncateSync(join(data, 'events.db'), 0),
  'the write-ahead log of the log is gone': (data) => remove(data, 'events.db-wal', 'events.db-shm'),
  'the write-ahead log of the log was cut short': (data) => truncateSync(join(data, 'events.db-wal'), 50_000),
  'the write-ahead log of the log is empty': (data) => truncateSync(join(data, 'events.db-wal'), 0),
}

function remove(data: string, ...names: readonly string[]): void {
  for (const name of names) rmSync(join(data, name))
}

test('a log that lost what it acknowledged is refused, whatever it was; put back, everything is there', async () => {
  const site = await newSite()
  const parts = await startParts(site, { without: ['projections'] })
  const load = await startLoad({ http: site.http, seed: testSeed(), clients: 4 })
  await settledMore(load, 30)
  await load.finish()
  await Promise.all([parts.commands, parts.queue, parts.queries].map((part) => part.end('SIGKILL')))
  const backup = `${site.data}-backup`
  cpSync(site.data, backup, { recursive: true })

  for (const [name, lose] of Object.entries(LOG_LOSSES)) {
    lose(site.data)
    const refused = new CqrsProcess(['worker', 'commands'], { ...site.env, III_URL: site.engine })
    refused.ready.catch(() => {})
    const { code } = await refused.exited
    expect(code, name).not.toBe(0)
    expect(refused.output, name).toContain('CQRS_LOG_TOO_SHORT')
    expect(refused.output, name).toMatch(
      /events\.db-mark says that position \d+ was stored.*Put back the newest copy/,
    )
    expect(refused.output.split('Put back the newest copy'), `${name}, said once`).toHaveLength(2)
    rmSync(site.data, { recursive: true })
    cpSync(backup, site.data, { recursive: true })
  }

  truncateSync(join(site.data, 'queue.db-wal'), 50_000)
  const refused = new CqrsProcess(['worker', 'queue'], { ...site.env, III_URL: site.engine })
  refused.ready.catch(() => {})
  expect((await refused.exited).code).not.toBe(0)
  expect(refused.output).toMatch(/CQRS_STORE_CORRUPT.*has lost commits that it acknowledged/)
  rmSync(site.data, { recursive: true })
  cpSync(backup, site.data, { recursive: true })

  await Promise.all(
    (['commands', 'queue', 'projections', 'queries'] as const).map((part) => startPart(site, part)),
  )
  await expectTruth(site, load.settled)
}, 120_000)

test('a view file that is gone or empty is built anew from the log', async () => {
  const site = await newSite()
  const parts = await startParts(site)
  const load = await startLoad({ http: site.http, seed: testSeed(), clients: 4 })
  await settledMore(load, 30)
  await load.finish()
  await expectTruth(site, load.settled)
  for (const part of [parts.projections, parts.queries]) await part.end('SIGKILL')

  const views = join(site.data, 'views')
  remove(views, 'inventory-list.1.db', 'inventory-list.1.db-wal', 'inventory-list.1.db-shm')
  truncateSync(join(views, 'inventory-stats.1.db'), 0)
  await startPart(site, 'projections')
  await startPart(site, 'queries')
  await expectTruth(site, load.settled)
}, 120_000)

test('a queue that is gone begins empty, which projections do not notice, and says so', async () => {
  const site = await newSite()
  const parts = await startParts(site)
  const load = await startLoad({ http: site.http, seed: testSeed(), clients: 4 })
  await settledMore(load, 30)
  await parts.queue.end('SIGKILL')
  remove(site.data, 'queue.db', 'queue.db-wal', 'queue.db-shm')
  const queue = await startPart(site, 'queue')
  expect(queue.output).toMatch(/the queue begins empty: .*queue\.db was gone/)
  await settledMore(load, 30)
  await load.finish()
  await expectTruth(site, load.settled)
  await queue.end('SIGTERM')
  const again = await startPart(site, 'queue')
  expect(again.output).not.toContain('begins empty')
}, 120_000)
