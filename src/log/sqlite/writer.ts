import { reached } from '../../boundaries.ts'
import type { Position } from '../../kernel/position.ts'
import { type CommitHandler, serveCommits } from '../../sqlite/commit-thread.ts'
import { HighWater } from '../../sqlite/high-water.ts'
import { type OpenOptions, openDatabase } from '../../sqlite/open.ts'
import type { RecordedCommand } from '../contract.ts'
import { IdempotencyKeys } from './idempotency-keys.ts'
import { checksumOfColumns, INSERT_EVENT } from './row.ts'
import { eventLogSchema } from './schema.ts'
import { StreamEndWriter } from './stream-end-writer.ts'

/**
 * An append on its way to the writer thread. It is a tuple of plain values because what passes between threads is
 * copied field by field, and copying the field names of an object costs more than copying its values.
 */
export type StoredAppend = readonly [
  stream: string,
  expectedVersion: number,
  expectedLast: string | undefined,
  /** JSON. */
  metadata: string,
  recordedAt: number,
  idempotencyKey: string | undefined,
  fingerprint: string | undefined,
  ...events: StoredEvent[],
]

export type StoredEvent = readonly [id: string, type: string, schemaVersion: number, data: string]

/**
 * The answer: position and version of an append that was stored; the stream's version if there was a conflict; the
 * original command if the idempotency key was used before.
 */
export type StoredOutcome =
  | readonly [position: number, version: number]
  | readonly [actualVersion: number]
  | RecordedCommand

export type WriterOptions = Omit<OpenOptions, 'schema' | 'readOnly' | 'durability'> & {
  /** How long an idempotency key is kept, in milliseconds during which the log is in use; undefined: for ever. */
  keepKeysMs: number | undefined
  /** How many events the table of stream ends may be behind; undefined: the default of {@link StreamEndWriter}. */
  endsBehind: number | undefined
}

serveCommits(openWriter)

function openWriter({
  keepKeysMs,
  endsBehind,
  ...options
}: WriterOptions): CommitHandler<StoredAppend, StoredOutcome> {
  const db = openDatabase({ ...options, schema: eventLogSchema })
  const insertEvent = db.prepare(INSERT_EVENT)
  const ends = new StreamEndWriter(db, { behind: endsBehind })
  warmUp(ends)
  const keys = new IdempotencyKeys(db, { keepMs: keepKeysMs, monotonic: () => performance.now() })
  const mark = new HighWater(options.path)
  /** Last position of the log, if the open transaction appends to it. */
  let last: Position | undefined

  return {
    db,
    path: options.path,
    begin: () => {
      last = undefined
      ends.begin()
      keys.begin()
    },
    prepare: () => {
      keys.prune()
      ends.store()
      if (last !== undefined) reached('append-written')
    },
    committed: () => {
      ends.committed()
      if (last === undefined) return
      reached('append-stored')
      mark.reached(last)
    },
    execute([stream, expectedVersion, expectedLast, metadata, recordedAt, key, fingerprint, ...events]) {
      const original = key === undefined ? undefined : keys.find(key)
      if (original) return original

      const from = ends.of(stream)
      let { version, position } = from
      const rests = expectedLast === undefined || ends.lastId(stream) === expectedLast
      if (version !== expectedVersion || !rests) return [version]

      last = ends.last()
      for (const [id, type, schemaVersion, data] of events) {
        const previous = position
        last += 1
        position = last
        version += 1
        const row = [
          position,
          id,
          stream,
          version,
          previous,
          type,
          schemaVersion,
          data,
          metadata,
          recordedAt,
        ] as const
        insertEvent.run(...row, checksumOfColumns(...row))
      }
      if (events.length > 0) ends.move(stream, from, { version, position, id: events.at(-1)?.[0] })
      if (key !== undefined) {
        const command = {
          key,
          fingerprint: fingerprint ?? '',
          stream,
          position,
          version,
          events: events.length,
        }
        keys.add(command, recordedAt)
      }
      return [position, version]
    },
  }
}

function warmUp(ends: StreamEndWriter): void {
  try {
    ends.warmUp()
  } catch {
    // If the store is damaged or locked, the first append meets the same error and reports it.
  }
}
