import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { CachedStream } from '../../src/command/cached-stream.ts'
import { StreamSnapshots } from '../../src/command/snapshots.ts'
import { openSqliteSnapshots } from '../../src/command/sqlite/snapshot-store.ts'
import { type DeciderDefinition, defineDecider } from '../../src/kernel/decider.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const added = defineEvent({ type: 'added', schema: z.object({ amount: z.int() }) })
/** Part of the fold that its text does not show. */
let factor = 1

function counter({ version = 1, name = 'counter', scaled = false, dated = false } = {}): DeciderDefinition {
  const initialState = () => ({ total: 0, events: 0, ...(dated && { at: new Date(0) }) })
  const builder = defineDecider({ name, version, events: [added], initialState })
  const step = scaled
    ? builder.evolve({
        added: (s, { data }) => ({ ...s, total: s.total + 10 * data.amount, events: s.events + 1 }),
      })
    : builder.evolve({
        added: (s, { data }) => ({ ...s, total: s.total + factor * data.amount, events: s.events + 1 }),
      })
  return step.commands({}) as unknown as DeciderDefinition
}

/** A log with one stream of 25 events of amount 1, and snapshots every 10. */
async function stocked() {
  factor = 1
  const folder = tempFolder()
  const logPath = join(folder, 'events.db')
  const snapshotPath = join(folder, 'snapshots.db')
  const append = async (log: EventLog, expectedVersion: number, amount = 1) =>
    log.append({
      stream: 's',
      expectedVersion,
      events: [{ type: 'added', schemaVersion: 1, data: { amount } }],
      metadata: { commandId: 'c', correlationId: 'c' },
    })
  const open = () => {
    const log = openSqliteEventLog({ path: logPath })
    onTestFinished(() => log.close())
    return log
  }
  const log = open()
  for (let version = 0; version < 25; version += 1) await append(log, version)

  /** A process: its snapshots, what it said, and how many events each load read. */
  const start = (own: EventLog = log, code = 'the code') => {
    const warnings: string[] = []
    const logger = pino(
      { level: 'warn' },
      { write: (line: string) => void warnings.push(JSON.parse(line).msg) },
    )
    const store = openSqliteSnapshots(snapshotPath, logger)
    onTestFinished(() => store.close())
    const snapshots = new StreamSnapshots({ store, every: 10, code, log: logger })
    let read = 0
    const counted: EventLog = Object.assign(Object.create(own), {
      readFrom: own.readFrom.bind(own),
      async *readStream(...call: Parameters<EventLog['readStream']>) {
        for await (const events of own.readStream(...call)) {
          read += events.length
          yield events
        }
      },
    })
    const load = async (decider = counter()) => {
      read = 0
      const { state, version } = await CachedStream.load('s', decider, counted, (event) => event, snapshots)
      return { state, version, read }
    }
    return { load, store, snapshots, warnings }
  }
  return { folder, logPath, snapshotPath, log, open, append, start }
}

/** Loads until the fold was checked often enough to be believed, and the snapshot is on the disk. */
async function believed(
  process: ReturnType<Awaited<ReturnType<typeof stocked>>['start']>,
  decider = counter(),
) {
  await process.load(decider)
  await until('the snapshot is kept', () => process.store.find('s'))
  for (let check = 0; check < 3; check += 1) await process.load(decider)
  return decider
}

/** A snapshot of a stream that the change of the fold does not concern. */
const AGREED = { version: 10, position: 10, eventId: 'e', state: { total: 0 } }

const WHOLE = { state: { total: 25, events: 25 }, version: 25, read: 25 }

test('a stream is folded from its snapshot on, after the first ones were folded again and agreed', async () => {
  const { start, log, append } = await stocked()
  const process = start()
  const decider = counter()
  expect(await process.load(decider)).toEqual(WHOLE)
  await until('the snapshot is kept', () => process.store.find('s'))
  for (let check = 0; check < 3; check += 1) expect(await process.load(decider)).toEqual(WHOLE)
  expect(await process.load(decider)).toEqual({ ...WHOLE, read: 0 })
  await append(log, 25)
  expect(await process.load(decider)).toEqual({ state: { total: 26, events: 26 }, version: 26, read: 1 })
  expect(process.warnings).toEqual([])
})

test('a log that was restored from an older backup wins over a newer snapshot', async () => {
  const { start, logPath, folder, log, open, append } = await stocked()
  await log.close()
  cpSync(logPath, join(folder, 'backup.db'))
  const later = open()
  for (let version = 25; version < 40; version += 1) await append(later, version)
  const process = start(later)
  const decider = await believed(process)
  expect(await process.load(decider)).toMatchObject({ version: 40, read: 0 })
  await later.close()
  for (const suffix of ['', '-wal', '-shm']) {
    cpSync(join(folder, 'backup.db'), logPath + suffix)
    if (suffix) writeFileSync(logPath + suffix, '')
  }
  const restored = open()
  const after = start(restored)
  expect(await after.load(decider)).toEqual(WHOLE)
  // The stream grows past the snapshot's version with other events: its id tells them apart.
  for (let version = 25; version < 45; version += 1) await append(restored, version, 3)
  expect(await start(restored).load(decider)).toMatchObject({
    state: { total: 25 + 60 },
    version: 45,
    read: 45,
  })
})

test('a snapshot of another fold is not used: other version, other text, other name, other events', async () => {
  const { start } = await stocked()
  const process = start()
  await believed(process)
  expect(await process.load(counter({ version: 2 }))).toEqual(WHOLE)
  await believed(process)
  expect(await process.load(counter({ name: 'other' }))).toEqual(WHOLE)
  await believed(process)
  expect(await process.load(counter({ scaled: true }))).toMatchObject({ state: { total: 250 }, read: 25 })
  expect(process.warnings).toEqual([])
})

test('a snapshot is not used once older events come to their fold in another way', async () => {
  const { start, log } = await stocked()
  const process = start()
  const lifting = (upcaster: (data: unknown) => unknown): DeciderDefinition => ({
    ...counter(),
    events: [defineEvent({ type: 'added', schema: added.schema, version: 2, upcasters: { 1: upcaster } })],
  })
  const before = await believed(
    process,
    lifting((data) => data),
  )
  expect(await process.snapshots.find('s', before, log)).toMatchObject({ version: 25 })
  const mended = lifting((data) => ({ amount: 1, ...(data as object) }))
  expect(await process.snapshots.find('s', mended, log)).toBeUndefined()
})

test('a fold that changed where its text does not show it is found out, and its snapshots are given up', async () => {
  const { start } = await stocked()
  const first = start()
  await believed(first)
  factor = 2
  const next = start()
  const decider = counter()
  for (let load = 0; load < 5; load += 1) {
    expect(await next.load(decider)).toEqual({ state: { total: 50, events: 25 }, version: 25, read: 25 })
  }
  expect(next.warnings).toEqual([expect.stringContaining('Raise the version in defineDecider')])
})

test('a snapshot that other code has made is not used, though the text of the fold is the same', async () => {
  const { start, log } = await stocked()
  await believed(start())
  factor = 2
  const deployed = start(log, 'a helper of the fold was changed')
  expect(await deployed.load()).toEqual({ state: { total: 50, events: 25 }, version: 25, read: 25 })
  expect(deployed.warnings).toEqual([])
})

test('snapshots that were found out stay unused in the next process, whichever it compares first', async () => {
  const { start } = await stocked()
  await believed(start())
  factor = 2
  const first = start()
  await first.load()
  await until('they are gone', async () => (await first.store.find('s')) === undefined)
  const next = start()
  const decider = counter()
  for (const agreed of ['a', 'b', 'c']) next.snapshots.check(agreed, decider, AGREED, AGREED.state)
  expect(await next.load(decider)).toMatchObject({ state: { total: 50 }, read: 25 })
})

test('a state that JSON does not give back is not kept, which is said once', async () => {
  const { start } = await stocked()
  const process = start()
  const decider = counter({ dated: true })
  for (let load = 0; load < 3; load += 1) expect(await process.load(decider)).toMatchObject({ read: 25 })
  expect(process.warnings).toEqual([
    expect.stringContaining('not the same after it was written as JSON and read back'),
  ])
  expect(await process.store.find('s')).toBeUndefined()
})

test('a snapshot whose bytes changed is passed over', async () => {
  const { start, snapshotPath } = await stocked()
  const process = start()
  const decider = await believed(process)
  const vandal = new DatabaseSync(snapshotPath)
  vandal.exec(`UPDATE snapshots SET state = replace(state, '25', '99')`)
  vandal.close()
  expect(await process.load(decider)).toEqual(WHOLE)
})

test.for([
  ['no database', (path: string) => writeFileSync(path, 'x'.repeat(8_192))],
  [
    'of a newer program',
    (path: string) => {
      const db = new DatabaseSync(path)
      db.exec('PRAGMA user_version = 99')
      db.close()
    },
  ],
  [
    'somebody else’s',
    (path: string) => {
      const db = new DatabaseSync(path)
      db.exec('CREATE TABLE other (id); PRAGMA application_id = 7')
      db.close()
    },
  ],
] as const)('a file that is %s is left alone, and nothing fails', async ([, spoil]) => {
  const { start, snapshotPath } = await stocked()
  const before = start()
  await believed(before)
  await before.store.close()
  for (const suffix of ['-wal', '-shm']) writeFileSync(snapshotPath + suffix, '')
  spoil(snapshotPath)
  const process = start()
  for (let load = 0; load < 5; load += 1) expect(await process.load()).toEqual(WHOLE)
  expect(process.warnings).toEqual([expect.stringContaining('cannot be used')])
})

test('only what is stored gets into a snapshot', async () => {
  const { start, log, append } = await stocked()
  const { snapshots, store } = start()
  const stream = await CachedStream.load('s', counter(), log, (event) => event, snapshots)
  await until('the snapshot is kept', () => store.find('s'))
  // Somebody else is faster: what this entry has folded ahead is not in the log.
  await append(log, 25, 7)
  for (let ahead = 0; ahead < 12; ahead += 1) {
    await stream.append([{ type: 'added', data: { amount: 1 } }], `id-${ahead}`, (expectedVersion) =>
      append(log, expectedVersion),
    )
  }
  expect(stream.spoiled).toBe(true)
  expect(await store.find('s')).toMatchObject({ version: 25 })
})
