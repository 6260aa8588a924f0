import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Position } from '../../kernel/position.ts'
import { PAGE_BYTES } from '../contract.ts'
import { PageReader } from './page-reader.ts'
import {
  assertWholeColumns,
  checkedStream,
  checkedThrough,
  EVENT_SHAPE,
  type EventColumns,
  missingEvent,
  type StreamRow,
  type ThroughRow,
} from './row.ts'

/** Where a stream ends; version and position 0 if it has no events. */
export interface StreamEnd {
  readonly version: number
  readonly position: Position
  /** Id of the last event; undefined while it was not asked for. */
  readonly id: string | undefined
}

const NO_EVENTS: StreamEnd = { version: 0, position: 0, id: undefined }

export interface StreamEndsOptions {
  /** Streams that are remembered at the most, unless the table lacks more. Default 50,000: some 7 MB. */
  readonly remembered?: number
  /** Events that are read at once. Default 500. */
  readonly page?: number
}

/**
 * Where each stream ends, as one connection sees it. The table `streams` has the ends up to the position in `streams_through`, and
 * some later ones; of the log's last events behind that, some ten thousand, the ends are kept in memory here. They are read from the events
 * themselves, which are checked: all of those behind the table at first, later what was appended since. So an append
 * need not write a page of the table for each event: {@link StreamEndWriter} brings many ends at once.
 */
export class StreamEnds {
  readonly #remembered: number
  readonly #page: number
  /** Ends in memory beyond which room is made. */
  #roomFor: number
  readonly #sql: Readonly<Record<'find' | 'through' | 'head', StatementSync>>
  readonly #pages: PageReader<EventColumns>
  /** All ends behind the table, and some that the table has as well. */
  readonly #known = new Map<string, StreamEnd>()
  /** What the table has for certain. */
  #through: Position = 0
  /** The position up to which every end is known or in the table; undefined while nothing was read. */
  #upTo: Position | undefined

  constructor(db: DatabaseSync, { remembered = 50_000, page = 500 }: StreamEndsOptions = {}) {
    this.#remembered = remembered
    this.#roomFor = remembered
    this.#page = page
    this.#sql = {
      find: db.prepare('SELECT version, position, checksum FROM streams WHERE stream = ?'),
      through: db.prepare('SELECT position, checksum FROM streams_through'),
      head: db.prepare('SELECT max(position) AS position FROM events'),
    }
    this.#pages = new PageReader(db, EVENT_SHAPE)
  }

  /** Reads what was appended since the last time. What {@link of} says is true as of then. @throws CqrsError CQRS_STORE_CORRUPT */
  catchUp(): void {
    for (const _ of this.catchingUp());
  }

  /** {@link catchUp} with pauses: after each page, if there are more. Others may use this object meanwhile. */
  *catchingUp(): Generator<void> {
    // This first: what others bring to the table meanwhile does no harm, the ends of what they append are read below.
    this.#through = checkedThrough(this.#sql.through.get() as unknown as ThroughRow | undefined)
    const head = Number(this.#sql.head.get()?.position ?? 0)
    if (this.#through > head) throw missingEvent(head + 1)
    if (this.#upTo === undefined || this.#through > this.#upTo || this.#upTo > head) {
      this.#known.clear()
      this.#upTo = this.#through
    }
    while (this.upTo < head) {
      this.#upTo = this.#read(this.upTo, head)
      if (this.#upTo < head) yield
    }
  }

  /** Where the stream ends. @throws CqrsError CQRS_STORE_CORRUPT */
  of(stream: string): StreamEnd {
    const known = this.#known.get(stream)
    if (known) return known
    const row = this.#sql.find.get(stream) as unknown as StreamRow | undefined
    if (!row) return NO_EVENTS
    const { version, position } = checkedStream(stream, row)
    const end = { version, position, id: undefined }
    this.#remember(stream, end)
    return end
  }

  /** Takes down the id of a stream's last event, which was not known yet. */
  noteId(stream: string, end: StreamEnd, id: string | undefined): void {
    this.#known.set(stream, { ...end, id })
  }

  /** This connection has appended the log's last event, and it is the stream's. */
  appended(stream: string, end: StreamEnd): void {
    this.#upTo = end.position
    this.#remember(stream, end)
  }

  /**
   * Another connection of this process has appended events, the last of which is where the stream ends. If they are the next
   * ones here they need not be read.
   */
  appendedElsewhere(stream: string, events: number, end: StreamEnd): void {
    const isNext = end.position - events === this.#upTo
    if (isNext && this.#known.size < this.#roomFor) this.appended(stream, end)
  }

  /** The position up to which what {@link of} says is true. */
  get upTo(): Position {
    return this.#upTo ?? 0
  }

  /** How many events the table is behind. */
  get behind(): number {
    return this.upTo - this.#through
  }

  /** The streams whose ends the table may lack. */
  lacking(): string[] {
    return [...this.#known].filter(([, { position }]) => position > this.#through).map(([stream]) => stream)
  }

  /** The table has all ends up to `through` now. */
  stored(through: Position): void {
    this.#through = Math.max(this.#through, through)
  }

  /** What was {@link appended} since the log ended at `upTo` is not there: the streams end where they did. */
  takeBack(ends: ReadonlyMap<string, StreamEnd>, upTo: Position): void {
    for (const [stream, end] of ends) {
      if (end.position === 0) this.#known.delete(stream)
      else this.#known.set(stream, end)
    }
    this.#upTo = upTo
  }

  /** Forgets everything, as if nothing had been read. */
  forget(): void {
    this.#known.clear()
    this.#upTo = undefined
  }

  /** @returns the position up to which ends are known now */
  #read(after: Position, head: Position): Position {
    const { rows, missing } = this.#pages.read(after, Math.min(after + this.#page, head), PAGE_BYTES)
    for (const columns of rows) {
      assertWholeColumns(columns)
      const [position, id, stream, version] = columns
      this.#remember(stream, { version, position, id })
    }
    if (missing !== undefined) throw missingEvent(missing)
    return after + rows.length
  }

  #remember(stream: string, end: StreamEnd): void {
    if (this.#known.size >= this.#roomFor && !this.#known.has(stream)) this.#makeRoom()
    this.#known.set(stream, end)
  }

  #makeRoom(): void {
    for (const [known, { position }] of this.#known) {
      if (position <= this.#through) this.#known.delete(known)
    }
    // Those that have to stay may be many; to look for others with each of them would take ever longer.
    this.#roomFor = Math.max(this.#remembered, 2 * this.#known.size)
  }
}
