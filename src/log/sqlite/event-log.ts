import type { DatabaseSync } from 'node:sqlite'
import { v7 as uuidv7 } from 'uuid'
import type { RecordedEvent } from '../../kernel/event.ts'
import { isIn } from '../../kernel/partition.ts'
import type { Position } from '../../kernel/position.ts'
import { toStoreError } from '../../sqlite/errors.ts'
import { GroupCommit } from '../../sqlite/group-commit.ts'
import { openDatabase } from '../../sqlite/open.ts'
import type {
  AppendOutcome,
  AppendRequest,
  EventLog,
  LogPage,
  ReadOptions,
  RecordedCommand,
} from '../contract.ts'
import { type EventRow, toRecordedEvent } from './row.ts'
import { eventLogSchema } from './schema.ts'
import type { StoredAppend, WriterOptions } from './writer.ts'

/** Events in one batch of {@link EventLog.readStream}. */
const STREAM_BATCH = 500

export interface SqliteEventLogOptions {
  /** The file, e.g. `data/events.db`; made if it is missing. */
  path: string
  /** Appends that may wait; more are refused with CQRS_OVERLOADED. Default 20,000. */
  maxWaiting?: number
  /** Appends in one transaction at the most. Default 1,024. */
  maxBatch?: number
  /** The wall clock, in milliseconds. Default Date.now. */
  now?: () => number
}

/**
 * Opens the event log in an SQLite file. Appends go through a writer thread with group commit, which
 * starts with the first append; reads run on the calling thread on a connection of their own.
 *
 * @throws CqrsError CQRS_STORE_… if the file cannot be opened
 */
export function openSqliteEventLog(options: SqliteEventLogOptions): EventLog {
  return new SqliteEventLog(options)
}

class SqliteEventLog implements EventLog {
  readonly #path: string
  readonly #now: () => number
  readonly #db: DatabaseSync
  readonly #writer: GroupCommit<StoredAppend, AppendOutcome>
  readonly #statements: ReturnType<typeof statements>

  constructor({ path, maxWaiting, maxBatch, now = Date.now }: SqliteEventLogOptions) {
    this.#path = path
    this.#now = now
    this.#db = openDatabase({ path, schema: eventLogSchema, readOnly: true })
    this.#statements = statements(this.#db)
    this.#writer = new GroupCommit({
      module: new URL('./writer.ts', import.meta.url),
      workerData: { path } satisfies WriterOptions,
      name: 'event log',
      ...(maxWaiting === undefined ? {} : { maxWaiting }),
      ...(maxBatch === undefined ? {} : { maxBatch }),
    })
  }

  append({ stream, expectedVersion, events, metadata, idempotency }: AppendRequest): Promise<AppendOutcome> {
    return this.#writer.submit({
      stream,
      expectedVersion,
      events: events.map(({ type, schemaVersion, data }) => ({
        id: uuidv7(),
        type,
        schemaVersion,
        data: JSON.stringify(data),
      })),
      metadata: JSON.stringify(metadata),
      recordedAt: this.#now(),
      idempotency,
    })
  }

  async findCommand(key: string): Promise<RecordedCommand | undefined> {
    const found = this.#read(() => this.#statements.command.get(key) as RecordedCommand | undefined)
    return found && { ...found }
  }

  async *readStream(stream: string, { after = 0 } = {}): AsyncGenerator<readonly RecordedEvent[]> {
    const positions = this.#read(() =>
      this.#statements.chain.all(stream, after + 1, after + 1).map((row) => Number(row.position)),
    )
    positions.reverse()
    for (let start = 0; start < positions.length; start += STREAM_BATCH) {
      yield this.#events(positions.slice(start, start + STREAM_BATCH))
    }
  }

  async history(
    stream: string,
    { limit, before = Number.MAX_SAFE_INTEGER }: { limit: number; before?: number },
  ): Promise<readonly RecordedEvent[]> {
    const { last, event } = this.#statements
    return this.#read(() => {
      const events: RecordedEvent[] = []
      let position = Number(last.get(stream)?.position ?? 0)
      while (position > 0 && events.length < limit) {
        const row = event.get(position) as unknown as EventRow
        if (row.version < before) events.push(toRecordedEvent(row))
        position = row.previous
      }
      return events
    })
  }

  async readFrom(after: Position, { limit, types, partition }: ReadOptions): Promise<LogPage> {
    return this.#read(() => {
      const head = this.#head()
      const through = Math.min(after + limit, head)
      if (through <= after) return { events: [], through: after, head }
      const rows = this.#statements.page.all(after, through) as unknown as EventRow[]
      const wanted = rows.filter(
        ({ type, stream }) => (types?.has(type) ?? true) && (!partition || isIn(stream, partition)),
      )
      return { events: wanted.map(toRecordedEvent), through, head }
    })
  }

  async head(): Promise<Position> {
    return this.#read(() => this.#head())
  }

  async close(): Promise<void> {
    await this.#writer.close()
    if (this.#db.isOpen) this.#db.close()
  }

  #head(): Position {
    return Number(this.#statements.head.get()?.position ?? 0)
  }

  #events(positions: number[]): RecordedEvent[] {
    const { event } = this.#statements
    return this.#read(() =>
      positions.map((position) => toRecordedEvent(event.get(position) as unknown as EventRow)),
    )
  }

  #read<Result>(read: () => Result): Result {
    try {
      return read()
    } catch (error) {
      throw toStoreError(error, this.#path)
    }
  }
}

function statements(db: DatabaseSync) {
  return {
    head: db.prepare('SELECT max(position) AS position FROM events'),
    last: db.prepare('SELECT position FROM streams WHERE stream = ?'),
    event: db.prepare('SELECT * FROM events WHERE position = ?'),
    page: db.prepare('SELECT * FROM events WHERE position > ? AND position <= ? ORDER BY position'),
    command: db.prepare(
      'SELECT key, fingerprint, stream, position, version, events FROM commands WHERE key = ?',
    ),
    /** Positions of a stream's events from the newest down to the wanted version. */
    chain: db.prepare(`
      WITH RECURSIVE chain (position, version, previous) AS (
        SELECT events.position, events.version, events.previous
          FROM streams JOIN events ON events.position = streams.position
          WHERE streams.stream = ? AND events.version >= ?
        UNION ALL
        SELECT events.position, events.version, events.previous
          FROM chain JOIN events ON events.position = chain.previous
          WHERE events.version >= ?
      )
      SELECT position FROM chain`),
  }
}
