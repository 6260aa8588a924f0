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
  /** Id of the last event; undefined if it has not been read yet. */
  readonly id: string | undefined
}

const NO_EVENTS: StreamEnd = { version: 0, position: 0, id: undefined }

export interface StreamEndsOptions {
  /** The most streams to remember, unless the table lacks more than that. Default 50,000: some 7 MB. */
  readonly remembered?: number
  /** Events that are read at once. Default 500. */
  readonly page?: number
}

/**
 * Where each stream ends, as one connection sees it. The table `streams` has all ends up to the position in
 * `streams_through`, and some later ones. The ends of the events after that position, usually tens of thousands, are
 * kept in memory here. They are read from the events themselves, which are checked: at first all events after that
 * position, later only those appended since. So an append does not have to write a page of the table for each event:
 * {@link StreamEndWriter} writes many ends at once.
 */
export class StreamEnds {
  readonly #remembered: number
  readonly #page: number
  /** With this many ends in memory, some are dropped before another one is added. */
  #roomFor: number
  readonly #sql: Readonly<Record<'find' | 'through' | 'head', StatementSync>>
  readonly #pages: PageReader<EventColumns>
  /** All ends that the table may lack, and some that it has as well. */
  readonly #known = new Map<string, StreamEnd>()
  /** The position up to which the table certainly has all ends. */
  #through: Position = 0
  /** The position up to which every end is known or in the table; undefined if nothing was read yet. */
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

  /**
   * Reads what was appended since the last call. {@link of} answers as of that moment. @throws CqrsError
   * CQRS_STORE_CORRUPT
   */
  catchUp(): void {
    for (const _ of this.catchingUp());
  }

  /** {@link catchUp} with a pause after each page if there are more. Others may use this object during the pauses. */
  *catchingUp(): Generator<void> {
    // Read this before the head. If others add ends to the table in between, no harm is done: what they append is read
    // below.
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

  /** Remembers the id of a stream's last event, which was not known yet. */
  noteId(stream: string, end: StreamEnd, id: string | undefined): void {
    this.#known.set(stream, { ...end, id })
  }

  /** This connection has appended the log's last event, which is also the last one of this stream. */
  appended(stream: string, end: StreamEnd): void {
    this.#upTo = end.position
    this.#remember(stream, end)
  }

  /**
   * Another connection of this process has appended this many events, and the stream now ends at `end`. If they
   * directly follow what is known here, they do not have to be read.
   */
  appendedElsewhere(stream: string, events: number, end: StreamEnd): void {
    const isNext = end.position - events === this.#upTo
    if (isNext && this.#known.size < this.#roomFor) this.appended(stream, end)
  }

  /** The position up to which the answers of {@link of} are true. */
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

  /** Notes that the table now has all ends up to `through`. */
  stored(through: Position): void {
    this.#through = Math.max(this.#through, through)
  }

  /**
   * Undoes {@link appended}, because a transaction was rolled back: the log ends at `upTo` again, and the streams at
   * `ends`.
   */
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

  /** @returns the position up to which ends are now known */
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
    // Many ends may have to stay. Searching all of them again for each new end would take longer and longer.
    this.#roomFor = Math.max(this.#remembered, 2 * this.#known.size)
  }
}
