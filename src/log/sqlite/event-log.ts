import { randomUUIDv7 } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RecordedEvent } from '../../kernel/event.ts'
import { isIn } from '../../kernel/partition.ts'
import type { Position } from '../../kernel/position.ts'
import { toStoreError } from '../../sqlite/errors.ts'
import { GroupCommit } from '../../sqlite/group-commit.ts'
import { type OpenOptions, openDatabase } from '../../sqlite/open.ts'
import {
  type AppendOutcome,
  type AppendRequest,
  type EventLog,
  type LogPage,
  type NewEvent,
  PAGE_BYTES,
  type ReadOptions,
  type RecordedCommand,
} from '../contract.ts'
import { COMMAND_COLUMNS } from './idempotency-keys.ts'
import { PageReader } from './page-reader.ts'
import {
  assertWhole,
  assertWholeColumns,
  brokenStream,
  type CommandRow,
  EVENT_SHAPE,
  type EventColumns,
  type EventRow,
  eventOfColumns,
  missingEvent,
  toRecordedCommand,
  toRecordedEvent,
} from './row.ts'
import { eventLogSchema } from './schema.ts'
import { StreamEnds } from './stream-ends.ts'
import type { StoredAppend, StoredEvent, StoredOutcome, WriterOptions } from './writer.ts'

/** The most events in one batch of {@link EventLog.readStream}. */
const STREAM_BATCH = 500

/** How many events of a stream are walked over before other work gets its turn. */
const STRETCH = 1_000

export interface SqliteEventLogOptions {
  /** The file, e.g. `data/events.db`; created if it is missing. */
  path: string
  /** Appends that may wait; more are refused with CQRS_OVERLOADED. Default 20,000. */
  maxWaiting?: number
  /** The most appends in one transaction. Default 1,024. */
  maxBatch?: number
  /** How long an idempotency key is kept, in milliseconds during which the log is in use. Default: for ever. */
  keepKeysMs?: number
  /**
   * How many events the table of stream ends may be behind before it is updated. A process reads those events when it
   * begins to append, and before it reads its first stream; this takes some 3 µs for each. Default 65,536.
   */
  endsBehind?: number
  checkpointPages?: OpenOptions['checkpointPages']
  /** The wall clock, in milliseconds. Default Date.now. */
  now?: () => number
}

export interface OpenedEventLog extends EventLog {
  /**
   * Prepares what the first append and the first read of a stream would otherwise wait for. Calling it is optional. It
   * never throws: an error appears in the append or read that meets it.
   */
  warmUp(): Promise<void>
}

/**
 * Opens the event log in an SQLite file. A writer thread, started by the first append, stores appends with group
 * commit. Reads run on the calling thread on a connection of their own.
 *
 * @throws CqrsError CQRS_STORE_… if the file cannot be opened
 */
export function openSqliteEventLog(options: SqliteEventLogOptions): OpenedEventLog {
  return new SqliteEventLog(options)
}

class SqliteEventLog implements OpenedEventLog {
  readonly #path: string
  readonly #now: () => number
  readonly #db: DatabaseSync
  readonly #writer: GroupCommit<StoredAppend, StoredOutcome>
  readonly #statements: ReturnType<typeof statements>
  readonly #pages: PageReader<EventColumns>
  readonly #ends: StreamEnds

  constructor(options: SqliteEventLogOptions) {
    const { path, maxWaiting, maxBatch, keepKeysMs, endsBehind, checkpointPages, now = Date.now } = options
    this.#path = path
    this.#now = now
    this.#db = openDatabase({ path, schema: eventLogSchema, readOnly: true })
    this.#statements = statements(this.#db)
    this.#pages = new PageReader(this.#db, EVENT_SHAPE)
    this.#ends = new StreamEnds(this.#db)
    this.#writer = new GroupCommit({
      module: new URL('./writer.ts', import.meta.url),
      workerData: {
        path,
        keepKeysMs,
        endsBehind,
        ...(checkpointPages === undefined ? {} : { checkpointPages }),
      } satisfies WriterOptions,
      name: 'event log',
      ...(maxWaiting === undefined ? {} : { maxWaiting }),
      ...(maxBatch === undefined ? {} : { maxBatch }),
    })
  }

  async append(request: AppendRequest): Promise<AppendOutcome> {
    const { stream, expectedVersion, expectedLast, events, metadata, idempotency } = request
    const stored = await this.#writer.submit([
      stream,
      expectedVersion,
      expectedLast,
      JSON.stringify(metadata),
      this.#now(),
      idempotency?.key,
      idempotency?.fingerprint,
      ...events.map(toStoredEvent),
    ])
    const outcome = toOutcome(stored)
    if (outcome.kind === 'appended') {
      const { position, version } = outcome
      this.#ends.appendedElsewhere(stream, events.length, { position, version, id: undefined })
    }
    return outcome
  }

  async findCommand(key: string): Promise<RecordedCommand | undefined> {
    return this.#read(() => {
      const row = this.#statements.command.get(key) as unknown as CommandRow | undefined
      return row && toRecordedCommand({ ...row, key })
    })
  }

  async *readStream(stream: string, { after = 0 } = {}): AsyncGenerator<readonly RecordedEvent[]> {
    const positions = await this.#positions(await this.#end(stream), after + 1)
    for (let start = 0; start < positions.length; ) {
      if (start > 0) await nextTurn()
      const batch = this.#read(() => this.#streamBatch(stream, positions, start, after))
      start += batch.length
      yield batch
    }
  }

  async history(
    stream: string,
    { limit, before = Number.MAX_SAFE_INTEGER }: { limit: number; before?: number },
  ): Promise<readonly RecordedEvent[]> {
    const end = await this.#end(stream)
    const from = before === Number.MAX_SAFE_INTEGER ? end : await this.#below(stream, end, before)
    return this.#read(() => {
      const events: RecordedEvent[] = []
      let position = from
      let bytes = 0
      while (position > 0 && events.length < limit && bytes <= PAGE_BYTES) {
        const row = this.#row(position)
        const event = toRecordedEvent(row)
        if (event.stream !== stream) throw brokenStream(stream, event)
        events.push(event)
        bytes += Buffer.byteLength(row.data)
        position = row.previous
      }
      return events
    })
  }

  async readFrom(
    after: Position,
    { limit, bytes = PAGE_BYTES, types, partition }: ReadOptions,
  ): Promise<LogPage> {
    return this.#read(() => {
      const head = this.#head()
      const last = Math.min(after + limit, head)
      if (last <= after) return { events: [], through: after, head }
      const { rows, missing } = this.#pages.read(after, last, bytes)
      if (missing !== undefined) throw missingEvent(missing)
      const events: RecordedEvent[] = []
      for (const columns of rows) {
        // Check every row before filtering: the filter may look at just the bytes that are damaged.
        assertWholeColumns(columns)
        const [, , stream, , type] = columns
        if (types && !types.has(type)) continue
        if (partition && !isIn(stream, partition)) continue
        events.push(eventOfColumns(columns))
      }
      return { events, through: after + rows.length, head }
    })
  }

  async head(): Promise<Position> {
    return this.#read(() => this.#head())
  }

  async warmUp(): Promise<void> {
    await Promise.allSettled([this.#writer.start(), this.#catchUp()])
  }

  async close(): Promise<void> {
    await this.#writer.close()
    if (this.#db.isOpen) this.#db.close()
  }

  #head(): Position {
    return Number(this.#statements.head.get()?.position ?? 0)
  }

  /** The position of the stream's last event; 0 if there is no such stream. */
  async #end(stream: string): Promise<Position> {
    await this.#catchUp()
    return this.#read(() => this.#ends.of(stream).position)
  }

  async #catchUp(): Promise<void> {
    const steps = this.#ends.catchingUp()
    while (!this.#read(() => steps.next()).done) await nextTurn()
  }

  /** The positions of a stream's events from `version` on, oldest first. */
  async #positions(end: Position, version: number): Promise<Position[]> {
    const positions: Position[] = []
    for (let from = end; from > 0; ) {
      if (from < end) await nextTurn()
      const found = this.#read(() => this.#statements.chain.all(from, version, version, STRETCH))
      const rows = found as unknown as Pick<Link, 'position' | 'previous'>[]
      for (const { position } of rows) positions.push(position)
      const last = rows.at(-1)
      from = last && rows.length === STRETCH && last.previous < last.position ? last.previous : 0
    }
    return positions.reverse()
  }

  /** The position of a stream's newest event below `version`; 0 if there is none. */
  async #below(stream: string, end: Position, version: number): Promise<Position> {
    for (let from = end; from > 0; ) {
      if (from < end) await nextTurn()
      const { link, isBelow } = this.#read(() => this.#stepDown(stream, from, version))
      if (isBelow) return link.position
      from = link.version > 1 ? link.position : 0
    }
    return 0
  }

  /**
   * Walks a stream from the event at `from` towards its beginning. Stops at the first event below `version`, at the
   * beginning, or when it has read {@link STRETCH} events.
   */
  #stepDown(stream: string, from: Position, version: number) {
    const row = this.#statements.down.get(from, version, STRETCH)
    const link = row as unknown as Pick<Link, 'position' | 'version'> | undefined
    if (!link) throw missingEvent(from)
    const isBelow = link.version < version
    if (isBelow || link.version === 1 || link.position !== from) return { link, isBelow }
    // The chain is broken here. Each read also throws if its event is missing or damaged.
    const { previous } = this.#row(from)
    throw brokenStream(stream, toRecordedEvent(this.#row(previous)))
  }

  #row(position: Position): EventRow {
    const row = this.#statements.event.get(position) as unknown as EventRow | undefined
    if (!row) throw missingEvent(position)
    assertWhole(row)
    return row
  }

  /**
   * One batch of a stream's events, starting at `positions[start]`. The first position is that of version `after + 1`.
   */
  #streamBatch(
    stream: string,
    positions: readonly Position[],
    start: number,
    after: number,
  ): RecordedEvent[] {
    const events: RecordedEvent[] = []
    const end = Math.min(start + STREAM_BATCH, positions.length)
    for (let at = start, bytes = 0; at < end && bytes <= PAGE_BYTES; at += 1) {
      const row = this.#row(positions[at] as Position)
      const event = toRecordedEvent(row)
      if (event.stream !== stream || event.version !== after + at + 1) throw brokenStream(stream, event)
      events.push(event)
      bytes += Buffer.byteLength(row.data)
    }
    return events
  }

  #read<Result>(read: () => Result): Result {
    try {
      return read()
    } catch (error) {
      throw toStoreError(error, this.#path)
    }
  }
}

function toStoredEvent({ id = randomUUIDv7(), type, schemaVersion, data }: NewEvent): StoredEvent {
  return [id, type, schemaVersion, JSON.stringify(data)]
}

function toOutcome(stored: StoredOutcome): AppendOutcome {
  if ('key' in stored) return { kind: 'duplicate-command', original: stored }
  const [first, version] = stored
  return version === undefined
    ? { kind: 'version-conflict', actualVersion: first }
    : { kind: 'appended', position: first, version }
}

/** An event as a link in the chain of its stream: it has the position of the event before it. */
interface Link {
  readonly position: Position
  readonly version: number
  readonly previous: Position
}

function statements(db: DatabaseSync) {
  return {
    head: db.prepare('SELECT max(position) AS position FROM events'),
    event: db.prepare('SELECT * FROM events WHERE position = ?'),
    command: db.prepare(`SELECT ${COMMAND_COLUMNS} FROM commands WHERE key = ?`),
    /**
     * Positions of a stream's events, from the position of the newest, which is given, down to the wanted version. A
     * damaged link may point forward; the chain then ends instead of going round for ever.
     */
    chain: db.prepare(`
      WITH RECURSIVE chain (position, version, previous) AS (
        SELECT position, version, previous FROM events WHERE position = ? AND version >= ?
        UNION ALL
        SELECT events.position, events.version, events.previous
          FROM chain JOIN events ON events.position = chain.previous
          WHERE events.version >= ? AND chain.previous < chain.position
        LIMIT ?
      )
      SELECT position, previous FROM chain`),
    /**
     * Walks from an event (?1) towards the beginning of its stream, and finds the first event below a version (?2), or
     * the last one that it reached within a number of events (?3).
     */
    down: db.prepare(`
      WITH RECURSIVE chain (position, version, previous) AS (
        SELECT position, version, previous FROM events WHERE position = ?1
        UNION ALL
        SELECT events.position, events.version, events.previous
          FROM chain JOIN events ON events.position = chain.previous
          WHERE chain.version >= ?2 AND events.version = chain.version - 1
        LIMIT ?3
      )
      SELECT position, version FROM chain ORDER BY version LIMIT 1`),
  }
}
