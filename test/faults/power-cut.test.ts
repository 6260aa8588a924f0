import { expect, test } from 'vitest'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { openSqliteActionStore } from '../../src/operator/sqlite/action-store.ts'
import { readHighWater } from '../../src/sqlite/high-water.ts'
import { type TracedStore, tracedStore } from '../support/power-cuts.ts'
import { testSeed } from '../support/random.ts'
import { needsStrace } from '../support/traced.ts'

/** Power cuts that each test of the log tries. */
const CUTS = 60

const tracedLog = () => tracedStore('./appending-process.ts', 'events.db', ['', '-wal', '-mark'])

/** Cuts the power at drawn moments, and looks for everything that was acknowledged by then. */
function expectNothingLost(traced: TracedStore, seed: number): Promise<number> {
  return traced.cutPower({
    cuts: CUTS,
    seed,
    async look(left, acknowledged, why) {
      const log = openSqliteEventLog({ path: left })
      for (const [key, position] of acknowledged) {
        expect(await log.findCommand(key), `${key}, ${why}`).toMatchObject({ position })
      }
      const head = await log.head()
      expect(head, why).toBeGreaterThanOrEqual(readHighWater(left))
      const { events } = await log.readFrom(0, { limit: head + 1 })
      expect(events.length, why).toBe(head)
      const last = new Map(events.map(({ stream, position }) => [stream, position]))
      for (const [stream, position] of last) {
        expect(await log.history(stream, { limit: 1 }), `${stream}, ${why}`).toMatchObject([{ position }])
      }
      await log.close()
    },
  })
}

const stored = (lines: readonly string[]) => lines.filter((line) => line.startsWith('stored')).length
const refused = (lines: readonly string[]) => lines.filter((line) => line.startsWith('refused')).length

test('whenever the power is cut, everything that was acknowledged is in the log', async (context) => {
  needsStrace(context)
  const seed = testSeed()
  const log = tracedLog()
  await log.run(1, undefined, (lines) => stored(lines) > 150)
  const before = stored(log.reported())
  await log.run(1_000, undefined, (lines) => stored(lines) > before + 50)
  expect(await expectNothingLost(log, seed)).toBeGreaterThan(200)
}, 120_000)

test('syncs that fail and whose pages the kernel drops take nothing along that is acknowledged later', async (context) => {
  needsStrace(context)
  const seed = testSeed()
  const log = tracedLog()
  await log.run(1, '30+5', (lines) => stored(lines) > 150)
  expect(log.reported().filter((line) => / CQRS_STORE_UNAVAILABLE$/.test(line)).length).toBe(
    refused(log.reported()),
  )
  expect(refused(log.reported())).toBeGreaterThan(0)
  expect(await expectNothingLost(log, seed)).toBeGreaterThan(150)
}, 120_000)

test('a process that dies right after a failed sync leaves no gap for those that follow', async (context) => {
  needsStrace(context)
  const seed = testSeed()
  const log = tracedLog()
  await log.run(1, '40+', (lines) => refused(lines) > 0)
  const before = stored(log.reported())
  await log.run(1_000, undefined, (lines) => stored(lines) > before + 30)
  expect(await expectNothingLost(log, seed)).toBeGreaterThan(before + 30)
}, 120_000)

test('nor does it matter which of several writers meets a failed sync in a store without a thread of its own', async (context) => {
  needsStrace(context)
  const record = tracedStore('./acting-process.ts', 'operator.db', ['', '-wal'])
  await record.run(1, '20+5', (lines) => stored(lines) > 250)
  expect(refused(record.reported())).toBeGreaterThan(0)
  const acknowledged = await record.cutPower({
    cuts: 20,
    seed: testSeed(),
    async look(left, expected, why) {
      const store = openSqliteActionStore(left)
      const actions = await store.list({ before: Number.MAX_SAFE_INTEGER, limit: 1_000_000 })
      const found = new Map(actions.map(({ id, operation }) => [operation, id]))
      for (const [operation, id] of expected) expect(found.get(operation), `${operation}, ${why}`).toBe(id)
      await store.close()
    },
  })
  expect(acknowledged).toBeGreaterThan(150)
}, 120_000)
