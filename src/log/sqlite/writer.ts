import type { DatabaseSync } from 'node:sqlite'
import { reached } from '../../boundaries.ts'
import { type CommitHandler, serveCommits } from '../../sqlite/commit-thread.ts'
import { HighWater } from '../../sqlite/high-water.ts'
import { type OpenOptions, openDatabase } from '../../sqlite/open.ts'
import type { AppendOutcome, Idempotency } from '../contract.ts'
import { IdempotencyKeys } from './idempotency-keys.ts'
import { checkedStream, checksum, type StreamRow, streamChecksum } from './row.ts'
import { eventLogSchema } from './schema.ts'

/** An append as it travels to the writer thread: JSON is text already. */
export interface StoredAppend {
  stream: string
  expectedVersion: number
  expectedLast: string | undefined
  events: { id: string; type: string; schemaVersion: number; data: string }[]
  metadata: string
  recordedAt: number
  idempotency: Idempotency | undefined
}

export type WriterOptions = Omit<OpenOptions, 'schema' | 'readOnly' | 'durability'> & {
  /** How long an idempotency key is kept, in milliseconds of the log's work; undefined: for ever. */
  keepKeysMs: number | undefined
}

serveCommits(openWriter)

function openWriter({ keepKeysMs, ...options }: WriterOptions): CommitHandler<StoredAppend, AppendOutcome> {
  const db = openDatabase({ ...options, schema: eventLogSchema })
  const { findStream, findId, insertEvent, moveStream, lastPosition } = statements(db)
  const keys = new IdempotencyKeys(db, { keepMs: keepKeysMs, monotonic: () => performance.now() })
  const mark = new HighWater(options.path)
  /** Last position of the log; unknown until the open transaction has read it. */
  let last: number | undefined

  return {
    db,
    path: options.path,
    begin: () => {
      last = undefined
      keys.begin()
    },
    prepare: () => {
      keys.prune()
      if (last !== undefined) reached('append-written')
    },
    committed: () => {
      if (last === undefined) return
      reached('append-stored')
      mark.reached(last)
    },
    execute({ stream, expectedVersion, expectedLast, events, metadata, recordedAt, idempotency }) {
      const original = idempotency && keys.find(idempotency.key)
      if (original) return { kind: 'duplicate-command', original }

      const found = findStream.get(stream) as unknown as StreamRow | undefined
      let { version, position } = found ? checkedStream(stream, found) : { version: 0, position: 0 }
      const rests = expectedLast === undefined || findId.get(position)?.id === expectedLast
      if (version !== expectedVersion || !rests) return { kind: 'version-conflict', actualVersion: version }

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
      if (events.length > 0) {
        moveStream.run(stream, version, position, streamChecksum(stream, { version, position }))
      }
      if (idempotency) {
        keys.add({ ...idempotency, stream, position, version, events: events.length }, recordedAt)
      }
      return { kind: 'appended', position, version }
    },
  }
}

function statements(db: DatabaseSync) {
  return {
    findStream: db.prepare('SELECT version, position, checksum FROM streams WHERE stream = ?'),
    findId: db.prepare('SELECT id FROM events WHERE position = ?'),
    insertEvent: db.prepare(`INSERT INTO events
      (position, id, stream, version, previous, type, schema_version, data, metadata, recorded_at, checksum)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    moveStream: db.prepare(`INSERT INTO streams (stream, version, position, checksum) VALUES (?, ?, ?, ?)
      ON CONFLICT (stream) DO UPDATE SET version = excluded.version, position = excluded.position,
        checksum = excluded.checksum`),
    lastPosition: db.prepare('SELECT max(position) AS position FROM events'),
  }
}
