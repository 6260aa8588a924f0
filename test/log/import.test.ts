import { spawn } from 'node:child_process'
import { createReadStream, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import type { EventLog } from '../../src/log/contract.ts'
import { EventFileWriter } from '../../src/log/interchange.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { importEvents } from '../../src/log/sqlite/import.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

function open(path = join(tempFolder(), 'events.db')) {
  const log = openSqliteEventLog({ path })
  onTestFinished(() => log.close())
  return { path, log }
}

/** A log with some streams, and an idempotency key. */
async function filled(events: number) {
  const { path, log } = open()
  const versions = new Map<string, number>()
  for (let n = 0; n < events; n += 2) {
    const stream = `s-${n % 3}`
    const expectedVersion = versions.get(stream) ?? 0
    const event = { type: 'counted', schemaVersion: 1, data: { n, text: '\u2028\n"', big: 1e21 } }
    const metadata = { commandId: `c-${n}`, correlationId: 'k', actor: 'ada' }
    const idempotency = { key: `key-${n}`, fingerprint: 'f' }
    await log.append({ stream, expectedVersion, events: [event, event], metadata, idempotency })
    versions.set(stream, expectedVersion + 2)
  }
  return { path, log }
}

/** The file of a stretch of a log. */
async function exported(log: EventLog, from = 1, to?: number): Promise<string> {
  const file = join(tempFolder(), 'events.ndjson')
  const writer = new EventFileWriter()
  const page = await log.readFrom(from - 1, { limit: (to ?? 100_000) - from + 1 })
  const header = { app: 'counter', from, to: page.through }
  writeFileSync(file, writer.begin(header) + writer.events(page.events) + writer.end())
  return file
}

const importFile = (path: string, file: string, app: string | undefined = 'counter') =>
  importEvents({ path, bytes: createReadStream(file, { highWaterMark: 1_000 }), app })

const rows = (path: string, table: string) => {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    return db.prepare(`SELECT * FROM ${table}`).all()
  } finally {
    db.close()
  }
}

test('an imported log is the log it was, row by row, and takes the next event', async () => {
  const source = await filled(40)
  const { path, log } = open()
  expect(await importFile(path, await exported(source.log))).toEqual({ imported: 40, head: 40 })
  for (const table of ['events', 'streams']) expect(rows(path, table)).toEqual(rows(source.path, table))
  // Keys are not carried: a command that is sent again to the new log is a new command.
  expect(rows(path, 'commands')).toEqual([])
  const [{ version = 0 } = {}] = await source.log.history('s-0', { limit: 1 })
  const metadata = { commandId: 'c', correlationId: 'k' }
  const next = {
    stream: 's-0',
    expectedVersion: version,
    events: [{ type: 'counted', schemaVersion: 1, data: {} }],
    metadata,
  }
  expect(await log.append(next)).toMatchObject({ kind: 'appended', position: 41, version: version + 1 })
})

test('stretches are imported one after the other; none twice, and none before its turn', async () => {
  const { log: source } = await filled(40)
  const [first, second] = [await exported(source, 1, 15), await exported(source, 16)]
  const { path } = open()
  const refused = (file: string, says: string) => expect(importFile(path, file)).rejects.toThrow(says)
  await refused(second, 'ends at position 0, so a file has to begin at 1; this one begins at 16')
  expect(await importFile(path, first)).toEqual({ imported: 15, head: 15 })
  await refused(first, 'If it was imported already there is nothing to do')
  await refused(
    first,
    'it may not have compared the views with the log: start the system and run "cqrs audit"',
  )
  expect(await importFile(path, second)).toEqual({ imported: 25, head: 40 })
  expect(rows(path, 'events')).toHaveLength(40)
})

test('a file of another app is refused unless that is meant', async () => {
  const file = await exported((await filled(4)).log)
  const { path } = open()
  await expect(importFile(path, file, 'inventory')).rejects.toThrow(
    'events of the app counter, but the app here is inventory. Set CQRS_APP to the module of counter',
  )
  expect(await importEvents({ path, bytes: createReadStream(file), app: undefined })).toMatchObject({
    imported: 4,
  })
})

test('a file with a wrong version of a stream leaves nothing', async () => {
  const { log: source } = await filled(10)
  const { events } = await source.readFrom(0, { limit: 10 })
  const writer = new EventFileWriter()
  const wrong = events.map((event) =>
    event.position === 9 ? { ...event, version: event.version + 1 } : event,
  )
  const file = join(tempFolder(), 'wrong.ndjson')
  writeFileSync(file, writer.begin({ app: 'counter', from: 1, to: 10 }) + writer.events(wrong) + writer.end())
  const { path } = open()
  await expect(importFile(path, file)).rejects.toThrow(
    /position 9 has version \d+ of the stream s-\d instead of \d+/,
  )
  expect([rows(path, 'events'), rows(path, 'streams')]).toEqual([[], []])
})

test.each(['id', 'stream', 'type'])(
  'a file with half a character in a name leaves nothing: %s',
  async (field) => {
    const { log: source } = await filled(4)
    const { events } = await source.readFrom(0, { limit: 4 })
    const writer = new EventFileWriter()
    const halves = events.map((event, index) =>
      // Two halves that the log would take for one character, and so two streams for one.
      index < 2 ? event : { ...event, version: 1, [field]: index === 2 ? 's-\ud800' : 's-\ud801' },
    )
    const file = join(tempFolder(), 'halves.ndjson')
    writeFileSync(
      file,
      writer.begin({ app: 'counter', from: 1, to: 4 }) + writer.events(halves) + writer.end(),
    )
    const { path } = open()
    await expect(importFile(path, file)).rejects.toMatchObject({
      code: 'CQRS_IMPORT_INVALID',
      message: expect.stringMatching(
        new RegExp(`Line 4 is not an event: .*half a character.*at ${field}`, 's'),
      ),
    })
    expect([rows(path, 'events'), rows(path, 'streams')]).toEqual([[], []])
  },
)

test('an import that is killed leaves nothing, and is done again', async () => {
  const folder = tempFolder()
  const path = join(folder, 'events.db')
  const file = join(folder, 'events.ndjson')
  const writer = new EventFileWriter()
  const size = 60_000
  const metadata = { commandId: 'c', correlationId: 'k' }
  const all = Array.from({ length: size }, (_, index) => ({
    position: index + 1,
    id: `e-${index}`,
    stream: `s-${index % 1_000}`,
    version: Math.floor(index / 1_000) + 1,
    type: 'counted',
    schemaVersion: 1,
    data: { pad: 'x'.repeat(200) },
    metadata,
    recordedAt: '2026-01-01T00:00:00.000Z',
  }))
  writeFileSync(file, writer.begin({ app: 'counter', from: 1, to: size }) + writer.events(all) + writer.end())
  const program = join(folder, 'import.mjs')
  const module = (name: string) => JSON.stringify(new URL(`../../src/log/${name}`, import.meta.url).href)
  writeFileSync(
    program,
    `
    import { createReadStream } from 'node:fs'
    const { importEvents } = await import(${module('sqlite/import.ts')})
    const bytes = createReadStream(${JSON.stringify(file)})
    await importEvents({ path: ${JSON.stringify(path)}, bytes, app: 'counter', onProgress: (n) => process.stdout.write(n + '\\n') })`,
  )
  // 48 MB are less than the file's events take in memory all at once.
  const run = () =>
    spawn(process.execPath, ['--max-old-space-size=48', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const killed = run()
  killed.stdout.once('data', () => killed.kill('SIGKILL'))
  await new Promise((resolve) => killed.once('close', resolve))
  expect(killed.signalCode).toBe('SIGKILL')
  await until('something was written', () => statSync(path).size > 0)
  expect([rows(path, 'events'), rows(path, 'streams')]).toEqual([[], []])
  const again = run()
  again.stdout.resume()
  expect(await new Promise((resolve) => again.once('close', resolve))).toBe(0)
  expect(await open(path).log.head()).toBe(size)
})
