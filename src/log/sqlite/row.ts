import { crc32 } from 'node:zlib'
import { CqrsError } from '../../kernel/errors.ts'
import type { RecordedEvent } from '../../kernel/event.ts'

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

/** CRC-32 over every column, so that a byte that changed on the disk is found when the event is read. */
export function checksum(row: Omit<EventRow, 'checksum'>): number {
  const { position, id, stream, version, previous, type, schema_version, data, metadata, recorded_at } = row
  return crc32(
    `${position}\n${id}\n${stream}\n${version}\n${previous}\n${type}\n${schema_version}\n${data}\n${metadata}\n${recorded_at}`,
  )
}

/** @throws CqrsError CQRS_STORE_CORRUPT if the row is not what was written */
export function toRecordedEvent(row: EventRow): RecordedEvent {
  if (checksum(row) !== row.checksum) {
    throw new CqrsError(
      'CQRS_STORE_CORRUPT',
      `The event at position ${row.position} is not what was written: its checksum differs. ` +
        'Restore the event log from a backup; nothing reads past this position.',
      { details: { position: row.position } },
    )
  }
  return {
    position: row.position,
    id: row.id,
    stream: row.stream,
    version: row.version,
    type: row.type,
    schemaVersion: row.schema_version,
    data: JSON.parse(row.data),
    metadata: JSON.parse(row.metadata),
    recordedAt: new Date(row.recorded_at).toISOString(),
  }
}
