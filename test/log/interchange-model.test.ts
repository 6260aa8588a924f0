import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { App } from '../../src/kernel/app.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { importEvents } from '../../src/log/sqlite/import.ts'
import { exportEvents } from '../../src/operator/events.ts'
import { between, oneOf, seededRandom, shuffled, testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

const RUNS = Number(process.env.CQRS_TEST_RUNS) || 6
const EDITS = 40
const seed = testSeed()
const app = { name: 'counter' } as App

type Random = () => number

/** What may stand in a text: all that JSON, SQL, lines and UTF-8 make something of, in whole characters. */
const PIECES: string[] = [
  'a',
  'Z',
  ' ',
  '"',
  '\\',
  "'",
  '\n',
  '\r\n',
  '\t',
  '\u0000',
  '\u0001',
  '\u0085',
  '\u2028',
  '\u2029',
]
PIECES.push('\u{1f600}', '\ufeff', '\uffff', 'é', '{"', '\\u0000', ':', ',', '%', '__proto__', '0')
/** And what is no whole character, which only data may hold. */
const HALVES = ['\ud800', '\udfff']

const text = (random: Random, pieces = PIECES, most = 8) =>
  Array.from({ length: between(random, 0, most) }, () => oneOf(random, pieces)).join('')

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.1,
  1e21,
  -1e-7,
  2 ** 53,
  2 ** 53 - 1,
  -(2 ** 53) + 1,
  5e-324,
  Number.MAX_VALUE,
]

function anyJson(random: Random, depth = 0): unknown {
  const kind = between(random, 0, depth > 4 ? 4 : 7)
  if (kind === 0) return oneOf(random, [null, true, false])
  if (kind === 1) return oneOf(random, NUMBERS)
  if (kind === 2) return (random() - 0.5) * 10 ** between(random, -300, 300)
  if (kind <= 4) return text(random, [...PIECES, ...HALVES])
  if (kind === 5) return Array.from({ length: between(random, 0, 4) }, () => anyJson(random, depth + 1))
  const key = () => text(random, [...PIECES, ...HALVES], 3)
  return Object.fromEntries(
    Array.from({ length: between(random, 0, 4) }, () => [key(), anyJson(random, depth + 1)]),
  )
}

function data(random: Random): unknown {
  const kind = random()
  if (kind < 0.03) return text(random, PIECES, 200).repeat(between(random, 1, 2_000))
  if (kind < 0.06) {
    let deep: unknown = 'the bottom'
    for (let level = between(random, 1, 1_000); level > 0; level -= 1)
      deep = random() < 0.5 ? [deep] : { deep }
    return deep
  }
  return anyJson(random)
}

function metadata(random: Random) {
  const all = { commandId: text(random, [...PIECES, ...HALVES]), correlationId: text(random) }
  return {
    ...(random() < 0.3 && { actor: text(random) }),
    ...all,
    ...(random() < 0.3 && { causationId: text(random), traceparent: '00-1' }),
  }
}

/** One append; the same for the same random numbers, whichever log it goes to. */
async function append(
  random: Random,
  log: EventLog,
  versions: Map<string, number>,
  streams: readonly string[],
) {
  const stream = oneOf(random, streams)
  const expectedVersion = versions.get(stream) ?? 0
  const events = Array.from({ length: between(random, 1, 4) }, () => ({
    id: `${between(random, 0, 1e9)}-${text(random, PIECES, 2)}`,
    type: `t${text(random, PIECES, 2)}`,
    schemaVersion: between(random, 1, 3),
    data: data(random),
  }))
  const hasKey = random() < 0.3
  const key = { key: `k-${stream}-${expectedVersion}`, fingerprint: 'f' }
  const outcome = await log.append({
    stream,
    expectedVersion,
    events,
    metadata: metadata(random),
    ...(hasKey && { idempotency: key }),
  })
  expect(outcome).toMatchObject({ kind: 'appended', version: expectedVersion + events.length })
  versions.set(stream, expectedVersion + events.length)
}

function open(random: Random) {
  const path = join(tempFolder(), 'events.db')
  const times = [0, 1, 999, 1_700_000_000_000, 1_700_000_000_001, 253_402_300_799_999]
  return { path, log: openSqliteEventLog({ path, now: () => oneOf(random, times) }) }
}

const rows = (path: string, table: string) => {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    return db.prepare(`SELECT * FROM ${table}`).all()
  } finally {
    db.close()
  }
}

const stored = (path: string) => [rows(path, 'events'), rows(path, 'streams'), rows(path, 'commands')]

async function exported(log: EventLog, stretch: object = {}): Promise<Buffer> {
  return Buffer.from((await Array.fromAsync(exportEvents({ app, log }, stretch))).join(''))
}

async function* inPieces(random: Random, file: Buffer) {
  for (let at = 0; at < file.length; ) {
    const size = between(random, 1, oneOf(random, [3, 100, 65_536]))
    yield file.subarray(at, at + size)
    at += size
  }
}

const imported = (random: Random, path: string, file: Buffer) =>
  importEvents({ path, bytes: inPieces(random, file), app: 'counter' })

test(
  `an imported log is the one that was exported, whatever it holds, and goes on as that one (CQRS_TEST_SEED=${seed})`,
  async () => {
    const random = seededRandom(seed)
    for (let run = 0; run < RUNS; run += 1) {
      const source = open(random)
      const target = open(random)
      const streams = [...new Set(Array.from({ length: between(random, 1, 12) }, () => `s${text(random)}`))]
      const versions = new Map<string, number>()
      for (let n = between(random, 0, 40); n > 0; n -= 1) await append(random, source.log, versions, streams)
      const head = await source.log.head()
      // In one file, or in stretches.
      for (let from = 1; from <= head + 1; ) {
        const to = random() < 0.5 ? head : between(random, from - 1, head)
        const outcome = await imported(
          random,
          target.path,
          await exported(source.log, to === 0 ? { from } : { from, to }),
        )
        from = to === 0 ? head + 1 : to + 1
        expect(outcome.head).toBe(from - 1)
        if (from > head) break
      }
      const [events, ends] = stored(source.path)
      expect(stored(target.path), `run ${run}`).toEqual([events, ends, []])
      const next = between(random, 0, 1e9)
      for (const { log, path } of [source, target]) {
        const same = seededRandom(next)
        const known = new Map(versions)
        for (let n = 0; n < 5; n += 1) await append(same, log, known, streams)
        const db = new DatabaseSync(path)
        db.exec('UPDATE events SET recorded_at = 0, checksum = 0')
        db.close()
      }
      expect(stored(target.path).slice(0, 2)).toEqual(stored(source.path).slice(0, 2))
      await source.log.close()
      await target.log.close()
    }
  },
  RUNS * 50_000,
)

/** Replaces the checksum by that of what stands before it, as somebody does who edits a file by hand and knows how. */
function checked(lines: readonly string[]): string {
  const body = lines.slice(0, -1).join('')
  const { count } = JSON.parse(lines.at(-1) ?? '') as { count: number }
  return `${body}${JSON.stringify({ count, sha256: createHash('sha256').update(body).digest('hex') })}\n`
}

/**
 * What is said of such a file: where, what is wrong, and that nothing was done. A byte of the header can make it the file of
 * another app, which is refused before the checksum is known.
 */
const REFUSED = /^(Line \d+:? |The file holds events of the app ).+ Nothing was imported\./s

type Edit = (random: Random, lines: string[]) => string | Buffer

const EDITS_OF_FILE: Record<string, Edit> = {
  'a byte': (random, lines) => {
    const bytes = Buffer.from(lines.join(''))
    const at = between(random, 0, bytes.length - 1)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << between(random, 0, 7))
    return bytes
  },
  cut: (random, lines) => {
    const bytes = Buffer.from(lines.join(''))
    return bytes.subarray(0, between(random, 0, bytes.length - 2))
  },
  dropped: (random, lines) => lines.toSpliced(between(random, 0, lines.length - 1), 1).join(''),
  doubled: (random, lines) => {
    const at = between(random, 0, lines.length - 1)
    return lines.toSpliced(at, 0, lines[at] ?? '').join('')
  },
  swapped: (random, lines) => {
    const at = between(random, 0, lines.length - 2)
    return lines.toSpliced(at, 2, lines[at + 1] ?? '', lines[at] ?? '').join('')
  },
  shuffled: (random, lines) => {
    const found = shuffled(random, lines)
    return found.join('') === lines.join('') ? found.slice(1).join('') : found.join('')
  },
  'byte order mark': (_, lines) => `\ufeff${lines.join('')}`,
  'carriage returns': (_, lines) => lines.join('').replaceAll('\n', '\r\n'),
  'UTF-16': (_, lines) => Buffer.from(`\ufeff${lines.join('')}`, 'utf16le'),
  joined: (_, lines) => lines.join('') + lines.join(''),
  'blank line': (random, lines) => lines.toSpliced(between(random, 0, lines.length), 0, '\n').join(''),
  empty: () => '',
  'dropped, checked': (random, lines) => checked(lines.toSpliced(between(random, 1, lines.length - 2), 1)),
  'gap of versions, checked': (random, lines) =>
    changed(random, lines, (event) => ({ ...event, version: event.version + 1 })),
  'version again, checked': (random, lines) =>
    changed(random, lines, (event) => ({
      ...event,
      version: Math.max(1, event.version - 1),
      stream: event.version === 1 ? `${event.stream}2` : event.stream,
      position: event.version === 1 ? 0 : event.position,
    })),
  'time, checked': (random, lines) =>
    changed(random, lines, (event) => ({
      ...event,
      recordedAt: oneOf(random, [
        '2026-13-01T00:00:00.000Z',
        '2026-02-30T00:00:00.000Z',
        '2026-01-01',
        '2026-01-01T00:00:00Z',
        '2026-01-01T00:00:00.000+02:00',
        '',
      ]),
    })),
  'no data, checked': (random, lines) => changed(random, lines, ({ data: _, ...event }) => event),
  'unknown field, checked': (random, lines) => changed(random, lines, (event) => ({ ...event, extra: 1 })),
  'huge number, checked': (random, lines) => {
    const at = between(random, 1, lines.length - 2)
    return checked(
      lines.with(at, (lines[at] ?? '').replace(/"data":.*,"metadata"/s, '"data":{"n":1e999},"metadata"')),
    )
  },
  'long number, checked': (random, lines) => {
    const at = between(random, 1, lines.length - 2)
    return checked(
      lines.with(
        at,
        (lines[at] ?? '').replace(/"data":.*,"metadata"/s, '"data":{"n":12345678901234567890},"metadata"'),
      ),
    )
  },
}

interface Line {
  position: number
  version: number
  stream: string
  recordedAt: string
  data?: unknown
}

function changed(random: Random, lines: string[], change: (event: Line) => object): string {
  const at = between(random, 1, lines.length - 2)
  return checked(lines.with(at, `${JSON.stringify(change(JSON.parse(lines[at] ?? '')))}\n`))
}

test(
  `a file that somebody has edited leaves nothing, and is refused by line (CQRS_TEST_SEED=${seed})`,
  async () => {
    const random = seededRandom(seed)
    for (let run = 0; run < RUNS; run += 1) {
      const source = open(random)
      const streams = ['one', 'two', 'three']
      const versions = new Map<string, number>()
      for (let n = between(random, 2, 12); n > 0; n -= 1) await append(random, source.log, versions, streams)
      const file = await exported(source.log)
      const lines = file.toString().split(/(?<=\n)/)
      const target = open(random)
      for (let n = 0; n < EDITS; n += 1) {
        const kind = oneOf(random, Object.keys(EDITS_OF_FILE))
        const edited = Buffer.from(EDITS_OF_FILE[kind]?.(random, lines) ?? '')
        if (edited.equals(file)) continue
        const refused = { code: 'CQRS_IMPORT_INVALID', message: expect.stringMatching(REFUSED) }
        await expect(imported(random, target.path, edited), kind).rejects.toMatchObject(refused)
        expect(stored(target.path), kind).toEqual([[], [], []])
      }
      await source.log.close()
      await target.log.close()
    }
  },
  RUNS * 50_000,
)

test.each([
  ['byte order mark', 'begins with a byte order mark'],
  ['carriage returns', 'ends with a carriage return'],
  ['UTF-16', 'is UTF-16'],
  ['huge number, checked', 'has the number 1e999, which cannot be stored exactly'],
  ['long number, checked', 'has the number 12345678901234567890, which cannot be stored exactly'],
])('what was done to a file is said: %s', async (kind, says) => {
  const random = seededRandom(1)
  const { log } = open(random)
  const event = { type: 'counted', schemaVersion: 1, data: { n: 1 } }
  await log.append({ stream: 's', expectedVersion: 0, events: [event], metadata: metadata(random) })
  const lines = (await exported(log)).toString().split(/(?<=\n)/)
  const edited = Buffer.from(EDITS_OF_FILE[kind]?.(random, lines) ?? '')
  await expect(imported(random, open(random).path, edited)).rejects.toThrow(says)
  await log.close()
})

test('a compressed file is told from one that is damaged', async () => {
  const file = gzipSync(await exported(open(seededRandom(1)).log))
  await expect(imported(seededRandom(1), open(seededRandom(1)).path, file)).rejects.toThrow(
    'is compressed: "gunzip',
  )
})

test('numbers that a program of somebody else has written otherwise are taken if they are the same', async () => {
  const random = seededRandom(1)
  const { path, log } = open(random)
  const numbers = '[ 1.0, 1E2, -0, 100000000000000000000, 9007199254740993.0e-3, 0.10 ]'
  const event = { type: 'counted', schemaVersion: 1, data: 'here' }
  await log.append({
    stream: 's',
    expectedVersion: 0,
    events: [event],
    metadata: { commandId: 'c', correlationId: 'k' },
  })
  const lines = (await exported(log))
    .toString()
    .replace('"here"', numbers)
    .split(/(?<=\n)/)
  const target = open(random)
  expect(await imported(random, target.path, Buffer.from(checked(lines)))).toMatchObject({ imported: 1 })
  const [first] = (await target.log.readFrom(0, { limit: 1 })).events
  expect(first?.data).toEqual([1, 100, 0, 1e20, 9007199254740.992, 0.1])
  expect(rows(path, 'events')).toHaveLength(1)
})
