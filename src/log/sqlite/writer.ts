import type { DatabaseSync } from 'node:sqlite'
import { type CommitHandler, serveCommits } from '../../sqlite/commit-thread.ts'
import { type OpenOptions, openDatabase } from '../../sqlite/open.ts'
import type { AppendOutcome, Idempotency, RecordedCommand } from '../contract.ts'
import { checksum } from './row.ts'
import { eventLogSchema } from './schema.ts'

/** An append as it travels to the writer thread: JSON is text already. */
export interface StoredAppend {
  stream: string
  expectedVersion: number
  events: { id: string; type: string; schemaVersion: number; data: string }[]
  metadata: string
  recordedAt: number
  idempotency: Idempotency | undefined
}

export type WriterOptions = Omit<OpenOptions, 'schema' | 'readOnly' | 'durability'>

serveCommits(openWriter)

function openWriter(options: WriterOptions): CommitHandler<StoredAppend, AppendOutcome> {
  const db = openDatabase({ ...options, schema: eventLogSchema })
  const { findCommand, findStream, insertEvent, moveStream, insertCommand, lastPosition } = statements(db)
  /** Last position of the log; unknown until the open transaction has read it. */
  let last: number | undefined

  return {
    db,
    path: options.path,
    begin: () => {
      last = undefined
    },
    execute({ stream, expectedVersion, events, metadata, recordedAt, idempotency }) {
      const original = idempotency && (findCommand.get(idempotency.key) as RecordedCommand | undefined)
      if (original) return { kind: 'duplicate-command', original: { ...original } }

      const found = findStream.get(stream) as { version: number; position: number } | undefined
      let { version, position } = found ?? { version: 0, position: 0 }
      if (version !== expectedVersion) return { kind: 'version-conflict', actualVersion: version }

      last ??= Number(lastPosition.get()?.position ?? 0)
      for (const event of events) {
        last += 1
        const row = {
          position: last,
          id: event.id,
          stream,
          version: version + 1,
          previous: position,
          type: event.type,
          schema_version: event.schemaVersion,
          data: event.data,
          metadata,
          recorded_at: recordedAt,
        }
        insertEvent.run(...Object.values(row), checksum(row))
        version += 1
        position = last
      }
      if (events.length > 0) moveStream.run(stream, version, position)
      if (idempotency) {
        const { key, fingerprint } = idempotency
        insertCommand.run(key, fingerprint, stream, position, version, events.length, recordedAt)
      }
      return { kind: 'appended', position, version }
    },
  }
}

function statements(db: DatabaseSync) {
  return {
    findCommand: db.prepare(
      'SELECT key, fingerprint, stream, position, version, events FROM commands WHERE key = ?',
    ),
    findStream: db.prepare('SELECT version, position FROM streams WHERE stream = ?'),
    insertEvent: db.prepare(`INSERT INTO events
      (position, id, stream, version, previous, type, schema_version, data, metadata, recorded_at, checksum)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    moveStream: db.prepare(`INSERT INTO streams (stream, version, position) VALUES (?, ?, ?)
      ON CONFLICT (stream) DO UPDATE SET version = excluded.version, position = excluded.position`),
    insertCommand: db.prepare(`INSERT INTO commands
      (key, fingerprint, stream, position, version, events, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?)`),
    lastPosition: db.prepare('SELECT max(position) AS position FROM events'),
  }
}
