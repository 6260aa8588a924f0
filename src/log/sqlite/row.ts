import { crc32 } from 'node:zlib'
import { CqrsError } from '../../kernel/errors.ts'
import type { RecordedEvent } from '../../kernel/event.ts'
import { parseJson } from '../../kernel/json.ts'
import type { Position } from '../../kernel/position.ts'
import { assertChecksum, rowChecksum } from '../../sqlite/row-checksum.ts'
import type { RecordedCommand } from '../contract.ts'
import { isoTime } from './iso-time.ts'
import type { RowShape } from './page-reader.ts'

/** A row of the table `events`. */
export interface EventRow {
  position: number
  id: string
  stream: string
  version: number
  previous: number
  type: string
  schema_version: number
  data: string
  metadata: string
  /** Milliseconds since 1970. */
  recorded_at: number
  checksum: number
}

/** Stores an event. The parameters are the columns of {@link EventRow}, in their order. */
export const INSERT_EVENT = `INSERT INTO events
  (position, id, stream, version, previous, type, schema_version, data, metadata, recorded_at, checksum)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

/** The SQL for the text that {@link checksumOfColumns} is computed from. */
export const CHECKED_TEXT =
  'concat_ws(char(10), position, id, stream, version, previous, type, schema_version, data, metadata, recorded_at)'

/**
 * The columns that are read when a row is returned as an array, which takes a third of the time that an object takes.
 */
const EVENT_COLUMNS = [
  'position',
  'id',
  'stream',
  'version',
  'type',
  'schema_version',
  'data',
  'metadata',
  'recorded_at',
  CHECKED_TEXT,
  'checksum',
]

/** A row as an array, in the order of {@link EVENT_COLUMNS}. */
export type EventColumns = [
  position: number,
  id: string,
  stream: string,
  version: number,
  type: string,
  schemaVersion: number,
  data: string,
  metadata: string,
  recordedAt: number,
  text: string,
  checksum: number,
]

/** The shape of events that are read page by page. */
export const EVENT_SHAPE: RowShape<EventColumns> = {
  columns: EVENT_COLUMNS,
  position: ([position]) => position,
  // Data that is not text is damaged, and is refused later.
  bytes: ([, , , , , , data]) => (isText(data) ? Buffer.byteLength(data) : 0),
}

/** CRC-32 over every column, so that a byte that changed on the disk is noticed when the event is read. */
export function checksumOfColumns(
  position: number,
  id: string,
  stream: string,
  version: number,
  previous: number,
  type: string,
  schemaVersion: number,
  data: string,
  metadata: string,
  recordedAt: number,
): number {
  return crc32(
    `${position}\n${id}\n${stream}\n${version}\n${previous}\n${type}\n${schemaVersion}\n${data}\n${metadata}\n${recordedAt}`,
  )
}

/** {@link checksumOfColumns} of a row. */
export function checksum(row: Omit<EventRow, 'checksum'>): number {
  const { position, id, stream, version, previous, type, schema_version, data, metadata, recorded_at } = row
  return checksumOfColumns(
    position,
    id,
    stream,
    version,
    previous,
    type,
    schema_version,
    data,
    metadata,
    recorded_at,
  )
}

/** @throws CqrsError CQRS_STORE_CORRUPT if the row is not what was written */
export function assertWhole(row: EventRow): void {
  if (checksum(row) !== row.checksum) throw damagedEvent(row.position)
}

function damagedEvent(position: Position): CqrsError {
  return new CqrsError(
    'CQRS_STORE_CORRUPT',
    `The event at position ${position} is not what was written: its checksum differs. ` +
      'Restore the event log from a backup; nothing reads past this position.',
    { details: { position } },
  )
}

/** The event in a row that was checked. */
export function toRecordedEvent(row: EventRow): RecordedEvent {
  return {
    position: row.position,
    id: row.id,
    stream: row.stream,
    version: row.version,
    type: row.type,
    schemaVersion: row.schema_version,
    data: parseJson(row.data),
    metadata: parseJson(row.metadata) as RecordedEvent['metadata'],
    recordedAt: isoTime(row.recorded_at),
  }
}

/**
 * {@link assertWhole} for a row that is an array. SQLite builds the checked text in half the time. The types are
 * checked too, because one changed bit can turn a text column into another type with the same bytes: SQLite then still
 * builds the same text, but the value here is no longer a string.
 */
export function assertWholeColumns(columns: EventColumns): void {
  const [position, id, stream, , type, , data, metadata, , text, sum] = columns
  const isWhole = isText(id) && isText(stream) && isText(type) && isText(data) && isText(metadata)
  if (!isWhole || crc32(text) !== sum) throw damagedEvent(position)
}

function isText(column: unknown): column is string {
  return typeof column === 'string'
}

/** {@link toRecordedEvent} of a row that is an array. */
export function eventOfColumns(columns: EventColumns): RecordedEvent {
  const [position, id, stream, version, type, schemaVersion, data, metadata, recordedAt] = columns
  return {
    position,
    id,
    stream,
    version,
    type,
    schemaVersion,
    data: parseJson(data),
    metadata: parseJson(metadata) as RecordedEvent['metadata'],
    recordedAt: isoTime(recordedAt),
  }
}

const RESTORE = 'Restore the event log from a backup.'

/** The error for a position of the log that has no event. */
export function missingEvent(position: Position): CqrsError {
  return new CqrsError(
    'CQRS_STORE_CORRUPT',
    `The log has no event at position ${position}. ${RESTORE} Nothing reads past this position.`,
    { details: { position, missing: true } },
  )
}

/** The error for an event at a place where another event of the stream should be. */
export function brokenStream(stream: string, { position }: RecordedEvent): CqrsError {
  return new CqrsError(
    'CQRS_STORE_CORRUPT',
    `The stream ${stream} has a gap before position ${position}: one of its events is missing. ${RESTORE}`,
    { details: { position } },
  )
}

/** Where a stream ends: a row of the table `streams`. */
export interface StreamRow {
  version: number
  position: number
  checksum: number
}

export function streamChecksum(stream: string, { version, position }: Omit<StreamRow, 'checksum'>): number {
  return rowChecksum(stream, version, position)
}

/** @throws CqrsError CQRS_STORE_CORRUPT if the row is not what was written */
export function checkedStream(stream: string, row: StreamRow): StreamRow {
  assertChecksum(row.checksum, streamChecksum(stream, row), `The end of the stream ${stream}`, RESTORE)
  return row
}

/** The row of the table `streams_through`: the position up to which the table `streams` certainly has all ends. */
export interface ThroughRow {
  position: number
  checksum: number
}

export function throughChecksum(position: Position): number {
  return rowChecksum(position)
}

/** @throws CqrsError CQRS_STORE_CORRUPT if the row is not what was written, or is missing */
export function checkedThrough(row: ThroughRow | undefined): Position {
  const { position, checksum } = row ?? { position: 0, checksum: undefined }
  assertChecksum(
    checksum,
    throughChecksum(position),
    'The record of how far the ends of streams are stored',
    RESTORE,
  )
  return position
}

/** A row of the table `commands`, as it is read. */
export type CommandRow = RecordedCommand & { readonly checksum: number }

export function commandChecksum({
  key,
  fingerprint,
  stream,
  position,
  version,
  events,
}: RecordedCommand): number {
  return rowChecksum(key, fingerprint, stream, position, version, events)
}

/** @throws CqrsError CQRS_STORE_CORRUPT if the row is not what was written */
export function toRecordedCommand({ checksum: found, ...command }: CommandRow): RecordedCommand {
  assertChecksum(found, commandChecksum(command), `The idempotency key ${command.key}`, RESTORE)
  return command
}
