import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { checksum } from '../../src/log/sqlite/row.ts'
import { eventLogSchema } from '../../src/log/sqlite/schema.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const append = (stream: string, expectedVersion: number) => ({
  stream,
  expectedVersion,
  events: [{ type: 'happened', schemaVersion: 1, data: { amount: 100 } }],
  metadata: { commandId: 'c', correlationId: 'c' },
})

test('an event whose bytes changed on the disk is refused, by name', async () => {
  const path = join(tempFolder(), 'events.db')
  const log = openSqliteEventLog({ path })
  onTestFinished(() => log.close())
  await log.append(append('s', 0))
  await log.append(append('s', 1))
  const vandal = new DatabaseSync(path)
  vandal.exec(`UPDATE events SET data = '{"amount":900}' WHERE position = 2`)
  vandal.close()
  expect((await log.readFrom(0, { limit: 1 })).events).toHaveLength(1)
  await expect(log.readFrom(1, { limit: 1 })).rejects.toMatchObject({
    code: 'CQRS_STORE_CORRUPT',
    details: { position: 2 },
  })
})

test.each(['type', 'stream', 'data'])(
  'an event whose %s is of another kind of value, by one bit, is refused though its bytes are the same',
  async (column) => {
    const path = join(tempFolder(), 'events.db')
    const log = openSqliteEventLog({ path })
    onTestFinished(() => log.close())
    await log.append(append('s', 0))
    const vandal = new DatabaseSync(path, { defensive: false })
    const setStrict = (from: string, to: string) =>
      vandal.exec(`PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, ') ${from}', ') ${to}') WHERE name = 'events';
        PRAGMA writable_schema = RESET`)
    setStrict('STRICT', '/**/')
    vandal.exec(`UPDATE events SET ${column} = CAST(${column} AS BLOB)`)
    setStrict('/**/', 'STRICT')
    vandal.close()
    await expect(log.readFrom(0, { limit: 1, types: new Set(['happened']) })).rejects.toMatchObject({
      code: 'CQRS_STORE_CORRUPT',
      details: { position: 1 },
    })
  },
)

test('a damaged log is told to those who append and read, not to those who warm it up', async () => {
  const path = join(tempFolder(), 'events.db')
  const earlier = openSqliteEventLog({ path })
  await earlier.append(append('s', 0))
  await earlier.close()
  const vandal = new DatabaseSync(path)
  vandal.exec(`UPDATE events SET data = '{"amount":900}' WHERE position = 1`)
  vandal.close()
  const log = openSqliteEventLog({ path })
  onTestFinished(() => log.close())
  await log.warmUp()
  await expect(log.append(append('s', 1))).rejects.toMatchObject({ code: 'CQRS_STORE_CORRUPT' })
  await expect(log.history('s', { limit: 1 })).rejects.toMatchObject({ code: 'CQRS_STORE_CORRUPT' })
})

test('a log of a newer program is refused', async () => {
  const path = join(tempFolder(), 'events.db')
  await openSqliteEventLog({ path }).close()
  const newer = new DatabaseSync(path)
  newer.exec('PRAGMA user_version = 99')
  newer.close()
  expect(() => openSqliteEventLog({ path })).toThrow(expect.objectContaining({ code: 'CQRS_STORE_NEWER' }))
})

test('appends beyond the limit of waiting ones are refused and not stored', async () => {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db'), maxWaiting: 2 })
  onTestFinished(() => log.close())
  const outcomes = await Promise.allSettled(['a', 'b', 'c'].map((stream) => log.append(append(stream, 0))))
  expect(outcomes[2]).toMatchObject({ status: 'rejected', reason: { code: 'CQRS_OVERLOADED' } })
  expect(await log.head()).toBe(2)
})

test('a log that an older program wrote is read, and its streams and keys go on', async () => {
  const path = join(tempFolder(), 'events.db')
  const [first] = eventLogSchema.migrations
  const old = openDatabase({ path, schema: { ...eventLogSchema, migrations: [String(first)] } })
  const row = {
    position: 1,
    id: '01890000-0000-7000-8000-000000000000',
    stream: 's',
    version: 1,
    previous: 0,
    type: 'noted',
    schema_version: 1,
    data: '{}',
    metadata: '{}',
    recorded_at: 0,
  }
  old
    .prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
    .run(...Object.values(row), checksum(row))
  old.exec(
    `INSERT INTO streams VALUES ('s', 1, 1); INSERT INTO commands VALUES ('key', 'print', 's', 1, 1, 1, 0)`,
  )
  old.close()

  const log = openSqliteEventLog({ path })
  const append = {
    stream: 's',
    expectedVersion: 1,
    events: [],
    metadata: { commandId: 'c', correlationId: 'c' },
  }
  const again = await log.append({ ...append, idempotency: { key: 'key', fingerprint: 'print' } })
  expect(again).toMatchObject({ kind: 'duplicate-command', original: { position: 1 } })
  expect((await log.history('s', { limit: 1 }))[0]).toMatchObject({ position: 1 })
  await log.close()
})

test('a key whose time is over can be used anew', async () => {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db'), keepKeysMs: 20 })
  const append = (key: string, stream: string) =>
    log.append({
      stream,
      expectedVersion: 0,
      events: [{ type: 'noted', schemaVersion: 1, data: {} }],
      metadata: { commandId: 'c', correlationId: 'c' },
      idempotency: { key, fingerprint: 'print' },
    })
  expect(await append('key', 'first')).toMatchObject({ kind: 'appended' })
  expect(await append('key', 'second')).toMatchObject({ kind: 'duplicate-command' })
  await until('the key is forgotten', async () => {
    await append(crypto.randomUUID(), crypto.randomUUID())
    return !(await log.findCommand('key'))
  })
  expect(await append('key', 'second')).toMatchObject({ kind: 'appended' })
  await log.close()
})

/** A log with one stream of so many events, which leads from event to event among others. */
async function longStream(events: number) {
  const path = join(tempFolder(), 'events.db')
  const log = openSqliteEventLog({ path })
  onTestFinished(() => log.close())
  for (let version = 0; version < events; version += 500) {
    const of = append('long', version)
    await log.append({ ...of, events: Array.from({ length: 500 }, () => of.events).flat() })
    await log.append(append(`other-${version}`, 0))
  }
  return { path, log }
}

/** What `read` gives, and how often others had their turn meanwhile. */
async function turnsDuring<Result>(read: () => Promise<Result>): Promise<{ result: Result; turns: number }> {
  let turns = 0
  let next: NodeJS.Immediate
  const turn = () => {
    turns += 1
    next = setImmediate(turn)
  }
  turn()
  const result = await read().finally(() => clearImmediate(next))
  return { result, turns }
}

test('whoever reads far into a long stream lets others have their turn', async () => {
  const { log } = await longStream(10_000)
  const all: number[] = []
  const whole = await turnsDuring(async () => {
    for await (const events of log.readStream('long')) all.push(...events.map(({ version }) => version))
  })
  expect(all).toEqual(Array.from({ length: 10_000 }, (_, index) => index + 1))
  expect(whole.turns).toBeGreaterThan(20)
  for (const before of [9_999, 9_001, 5_000, 1_001, 3, 2]) {
    const { result, turns } = await turnsDuring(() => log.history('long', { limit: 2, before }))
    expect(result.map(({ version }) => version)).toEqual(
      [before - 1, before - 2].filter((version) => version > 0),
    )
    expect(turns).toBeGreaterThanOrEqual(Math.floor((10_000 - before) / 1_000))
  }
  expect(await log.history('long', { limit: 2, before: 1 })).toEqual([])
  expect(await log.history('nobody', { limit: 2, before: 7 })).toEqual([])
})

test('a link of a long stream that leads elsewhere is no way around the events between', async () => {
  const { path, log } = await longStream(3_000)
  // Where streams end is read from the events, which are checked: that is done by now.
  await log.history('long', { limit: 1 })
  const vandal = new DatabaseSync(path)
  const link = vandal.prepare("UPDATE events SET previous = ? WHERE stream = 'long' AND version = 1500")
  for (const previous of [1, 502, 1_400, 2_900, 99_999]) {
    link.run(previous)
    await expect(log.history('long', { limit: 1, before: 100 }), String(previous)).rejects.toMatchObject({
      code: 'CQRS_STORE_CORRUPT',
    })
    expect(await log.history('long', { limit: 1, before: 2_000 })).toMatchObject([{ version: 1_999 }])
  }
  vandal.close()
})
