import type { RecordedEvent } from '../../kernel/event.ts'
import { parseJson } from '../../kernel/json.ts'
import { isoTime } from './iso-time.ts'

/**
 * Events on their way from one thread to another, column by column: a few long strings are copied, and parsed, in half
 * the time that many short ones take.
 */
export interface PackedEvents {
  readonly count: number
  /** A line for each event. */
  readonly ids: string
  readonly streams: string
  readonly types: string
  /** {@link NUMBERS} of each event: position, version, schema version, milliseconds since 1970. */
  readonly numbers: Float64Array
  /** JSON without the brackets around it. */
  readonly data: string
  readonly metadata: string
}

const NUMBERS = 4

/** What a row's checksum is taken of, in the order of `checksumOfColumns`: its columns, a line for each. */
export type RowLines = readonly string[]

/** Where a column stands in {@link RowLines}. */
export const LINE = {
  position: 0,
  id: 1,
  stream: 2,
  version: 3,
  type: 5,
  schemaVersion: 6,
  data: 7,
  metadata: 8,
  recordedAt: 9,
} as const

/** Lines of a row; there are more if one of its columns holds a line feed, and then it cannot be packed. */
export const LINES = 10

export function packEvents(rows: readonly RowLines[]): PackedEvents {
  const numbers = new Float64Array(NUMBERS * rows.length)
  rows.forEach((lines, index) => {
    const at = NUMBERS * index
    numbers[at] = Number(lines[LINE.position])
    numbers[at + 1] = Number(lines[LINE.version])
    numbers[at + 2] = Number(lines[LINE.schemaVersion])
    numbers[at + 3] = Number(lines[LINE.recordedAt])
  })
  const column = (line: number) => rows.map((lines) => lines[line])
  return {
    count: rows.length,
    ids: column(LINE.id).join('\n'),
    streams: column(LINE.stream).join('\n'),
    types: column(LINE.type).join('\n'),
    numbers,
    data: column(LINE.data).join(),
    metadata: column(LINE.metadata).join(),
  }
}

/** @returns undefined if the columns do not hang together, as with data that is no JSON */
export function unpackEvents({ count, ...columns }: PackedEvents): RecordedEvent[] | undefined {
  if (count === 0) return []
  const ids = columns.ids.split('\n')
  const streams = columns.streams.split('\n')
  const types = columns.types.split('\n')
  const { numbers } = columns
  const data = parsedList(columns.data)
  const metadata = parsedList(columns.metadata) as RecordedEvent['metadata'][] | undefined
  const isWhole = [ids, streams, types, data, metadata].every((list) => list?.length === count)
  if (!isWhole || !data || !metadata) return undefined
  return ids.map((id, index) => ({
    position: numbers[NUMBERS * index] as number,
    id,
    stream: streams[index] as string,
    version: numbers[NUMBERS * index + 1] as number,
    type: types[index] as string,
    schemaVersion: numbers[NUMBERS * index + 2] as number,
    data: data[index],
    metadata: metadata[index] as RecordedEvent['metadata'],
    recordedAt: isoTime(numbers[NUMBERS * index + 3] as number),
  }))
}

function parsedList(items: string): unknown[] | undefined {
  try {
    return parseJson(`[${items}]`) as unknown[]
  } catch {
    return undefined
  }
}
