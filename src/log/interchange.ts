import { createHash, type Hash } from 'node:crypto'
import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import type { RecordedEvent } from '../kernel/event.ts'
import { parseJson, parseStrictly } from '../kernel/json.ts'
import type { Position } from '../kernel/position.ts'

/**
 * The format of a file of events: lines of JSON, each ended by a line feed. The first line says what the file is, then
 * come the events in order, and the last line holds their number and the SHA-256 of every byte before it. So reading a
 * file once is enough to tell whether it is whole, or was cut, joined or changed.
 */
const FORMAT = 'iii-durable-cqrs/events'

/** Increase it when older programs can no longer read the file. */
const VERSION = 1

/** Longest line that is read, in bytes. */
const MAX_LINE = 64 * 1024 * 1024

const NEWLINE = 0x0a

const CARRIAGE_RETURN = 0x0d

/** The first bytes of a file that some program has converted, and what that program did. */
const CHANGED_ON_THE_WAY: readonly (readonly [first: Buffer, what: string])[] = [
  [Buffer.from([0x1f, 0x8b]), 'is compressed: "gunzip -c <file> | cqrs events import -"'],
  [Buffer.from([0xef, 0xbb, 0xbf]), 'begins with a byte order mark, which another program has added'],
  [Buffer.from([0xff, 0xfe]), 'is UTF-16; another program has converted it from UTF-8'],
]

/** The first line. */
export interface FileHeader {
  /** The name of the app whose events these are. */
  readonly app: string
  /** Position of the first event. */
  readonly from: Position
  /** Position of the last event; `from - 1` if there is none. */
  readonly to: Position
}

const header = z.strictObject({
  format: z.literal(FORMAT),
  version: z.int(),
  app: z.string(),
  from: z.int().min(1),
  to: z.int().min(0),
})

const footer = z.strictObject({ count: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) })

/** The log cannot tell apart texts that differ only in half a surrogate pair, so it would take two streams for one. */
const whole = z
  .string()
  .refine((text) => text.isWellFormed(), 'contains half a character (an unpaired surrogate)')

const event = z.strictObject({
  position: z.int().min(1),
  id: whole.min(1),
  stream: whole.min(1),
  version: z.int().min(1),
  type: whole.min(1),
  schemaVersion: z.int().min(1),
  data: z.unknown(),
  metadata: z.looseObject({ commandId: z.string(), correlationId: z.string() }),
  recordedAt: z.iso.datetime({ precision: 3 }),
})

/** Writes a file of events piece by piece; the pieces joined are the file. */
export class EventFileWriter {
  readonly #hash: Hash = createHash('sha256')
  #count = 0

  /** The first line. */
  begin({ app, from, to }: FileHeader): string {
    return this.#line({ format: FORMAT, version: VERSION, app, from, to })
  }

  /** The lines of the next events, in order. */
  events(events: readonly RecordedEvent[]): string {
    this.#count += events.length
    return events.map((each) => this.#line(each)).join('')
  }

  /** The last line. */
  end(): string {
    return `${JSON.stringify({ count: this.#count, sha256: this.#hash.digest('hex') })}\n`
  }

  #line(value: object): string {
    const line = `${JSON.stringify(value)}\n`
    this.#hash.update(line)
    return line
  }
}

/**
 * Reads a file of events, holding one line at a time. The checksum is at the end, so nothing that it yields is certain
 * until the generator has ended: a caller that acts on the events must be able to undo that.
 *
 * @param bytes the file, in pieces of any size
 * @yields the header first, then each event
 * @throws CqrsError CQRS_IMPORT_INVALID naming the line, if this is not a file of events, is cut short, has a changed
 *   byte, a gap, a wrong order, or something after its end
 */
export async function* readEventFile(
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ header: FileHeader } | { event: RecordedEvent }> {
  const hash = createHash('sha256')
  let head: FileHeader | undefined
  let expected = 0
  let ended = false
  let number = 0
  for await (const line of linesOf(bytes)) {
    number += 1
    if (ended) throw invalid(number, 'comes after the closing line of the file')
    if (number === 1) assertUnchanged(line)
    const value = parseLine(line, number)
    if (!head) {
      head = parseHeader(value)
      expected = head.from
      yield { header: head }
    } else if (expected <= head.to) {
      const parsed = event.safeParse(value)
      if (!parsed.success) throw invalid(number, `is not an event: ${z.prettifyError(parsed.error)}`)
      // Yields the JSON as it was parsed: zod's result has the fields of the metadata in another order.
      const found = value as RecordedEvent
      if (found.position !== expected) {
        throw invalid(number, `has position ${found.position} instead of ${expected}`)
      }
      expected += 1
      yield { event: found }
    } else {
      const parsed = footer.safeParse(value)
      const count = head.to - head.from + 1
      if (!parsed.success)
        throw invalid(
          number,
          'should be the closing line {count, sha256}, because the header announces no further event',
        )
      if (parsed.data.count !== count || parsed.data.sha256 !== hash.digest('hex')) {
        throw invalid(number, 'does not match the lines before it: the file was changed')
      }
      ended = true
    }
    if (!ended) hash.update(line)
  }
  if (!ended) throw invalid(number + 1, 'is missing: the file is cut short')
}

function parseHeader(value: unknown): FileHeader {
  const parsed = header.safeParse(value)
  if (!parsed.success || parsed.data.to < parsed.data.from - 1) {
    throw invalid(1, `is not the header of a file of events (format ${FORMAT})`)
  }
  const { app, from, to, version } = parsed.data
  if (version === VERSION) return { app, from, to }
  throw invalid(1, `has format version ${version}; this program reads version ${VERSION}`)
}

/** Says what some program did to the file, if the first line shows it. */
function assertUnchanged(line: Buffer): void {
  const [, what] = CHANGED_ON_THE_WAY.find(([first]) => line.subarray(0, first.length).equals(first)) ?? []
  if (what !== undefined) throw invalid(1, what)
  if (line.at(-2) === CARRIAGE_RETURN)
    throw invalid(1, 'ends with a carriage return: another program has changed the line endings')
}

function parseLine(line: Buffer, number: number): unknown {
  let value: unknown
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(line)
    value = parseJson(text)
  } catch {
    throw invalid(number, 'is not JSON: the file is cut short or changed')
  }
  // A line that an export wrote comes out the same. A file from another program may hold numbers that JavaScript cannot
  // hold.
  if (`${JSON.stringify(value)}\n` !== text) parseStrictly(text, (source) => exactNumber(source, number))
  return value
}

/** @throws CqrsError CQRS_IMPORT_INVALID if JavaScript would store the number in that line as a different one */
function exactNumber(source: string, line: number): number {
  const value = Number(source)
  const isExact = Number.isFinite(value) && (!/^-?\d+$/.test(source) || BigInt(source) === BigInt(value))
  if (isExact) return value
  throw invalid(
    line,
    `has the number ${source.slice(0, 40)}, which cannot be stored exactly: make it a string`,
  )
}

/**
 * Splits only at line feeds: a JSON text may hold the other characters that some programs treat as the end of a line.
 */
async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let length = 0
  let number = 1
  for await (const chunk of bytes) {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    for (let at = rest.indexOf(NEWLINE); at !== -1; at = rest.indexOf(NEWLINE)) {
      yield Buffer.concat([...parts, rest.subarray(0, at + 1)])
      parts = []
      length = 0
      number += 1
      rest = rest.subarray(at + 1)
    }
    if (rest.length === 0) continue
    parts.push(rest)
    length += rest.length
    if (length > MAX_LINE) throw invalid(number, `is longer than ${MAX_LINE} bytes`)
  }
  if (length > 0) yield Buffer.concat(parts)
}

const ADVICE = 'Nothing was imported. Export the events again, or take another copy of the file.'

function invalid(line: number, why: string): CqrsError {
  return new CqrsError('CQRS_IMPORT_INVALID', `Line ${line} ${why}. ${ADVICE}`, { details: { line } })
}
