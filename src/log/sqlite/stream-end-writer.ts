import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Position } from '../../kernel/position.ts'
import { streamChecksum, throughChecksum } from './row.ts'
import { type StreamEnd, StreamEnds, type StreamEndsOptions } from './stream-ends.ts'

export interface StreamEndWriterOptions extends StreamEndsOptions {
  /** Events that the table may be behind before it is brought up. Default 65,536. */
  readonly behind?: number | undefined
  /** Ends that a transaction brings at the least while that goes on. Default 256. */
  readonly atLeast?: number
}

/** Ends that a transaction brings for each event that it appends, so that the table comes nearer. */
const FOR_EACH_EVENT = 2

/** The table on its way up to a position. */
interface Round {
  readonly through: Position
  /** Streams whose ends it lacks, the next one last. In order, so that those of one page go together. */
  readonly streams: string[]
}

/**
 * Where each stream ends, for the writer of the log. Ends are not stored with their events, from which they can be read, but
 * round by round: when the table `streams` is some ten thousand events behind, the following transactions bring the ends that it
 * lacks, in the order of its pages, a few hundred each, so that none takes long. Each page is written about once a
 * round, instead of once for each event. When all are there the position that the round began at goes to `streams_through`.
 *
 * SQLite's `data_version` changes when another connection has written: then its events are read.
 */
export class StreamEndWriter {
  readonly #ends: StreamEnds
  readonly #behind: number
  readonly #atLeast: number
  readonly #sql: Readonly<Record<'findId' | 'store' | 'reach' | 'dataVersion', StatementSync>>
  #round: Round | undefined
  /** The `data_version` up to which changes of others are known. */
  #seen: unknown
  #committed = true
  /** Last position of the log before the open transaction; undefined until that has looked for changes of others. */
  #before: Position | undefined
  /** Where the streams ended that the open transaction has moved. */
  readonly #moved = new Map<string, StreamEnd>()
  /** Whether the open transaction has ended a round. */
  #finished = false

  constructor(db: DatabaseSync, { behind = 65_536, atLeast = 256, ...options }: StreamEndWriterOptions = {}) {
    this.#behind = behind
    this.#atLeast = atLeast
    this.#ends = new StreamEnds(db, options)
    this.#sql = {
      findId: db.prepare('SELECT id FROM events WHERE position = ?'),
      store: db.prepare(`INSERT INTO streams (stream, version, position, checksum) VALUES (?, ?, ?, ?)
        ON CONFLICT (stream) DO UPDATE SET version = excluded.version, position = excluded.position,
          checksum = excluded.checksum`),
      reach: db.prepare('UPDATE streams_through SET position = ?, checksum = ? WHERE position < ?'),
      dataVersion: db.prepare('PRAGMA data_version'),
    }
  }

  /** Reads now what the first transaction would read. @throws CqrsError CQRS_STORE_CORRUPT */
  warmUp(): void {
    this.#lookForOthers()
  }

  /** A transaction is about to begin. */
  begin(): void {
    if (!this.#committed) this.#takeBack()
    this.#committed = false
    this.#before = undefined
    this.#moved.clear()
    this.#finished = false
  }

  committed(): void {
    this.#committed = true
  }

  /** Inside the transaction: the last position of the log. @throws CqrsError CQRS_STORE_CORRUPT */
  last(): Position {
    this.#before ??= this.#lookForOthers()
    return this.#ends.upTo
  }

  /** Inside the transaction: where the stream ends. @throws CqrsError CQRS_STORE_CORRUPT */
  of(stream: string): StreamEnd {
    this.last()
    return this.#ends.of(stream)
  }

  /** Inside the transaction: the id of the stream's last event. */
  lastId(stream: string): string | undefined {
    const end = this.of(stream)
    if (end.id !== undefined || end.position === 0) return end.id
    const id = this.#sql.findId.get(end.position)?.id as string | undefined
    this.#ends.noteId(stream, end, id)
    return id
  }

  /** Inside the transaction: events were appended, and the stream does not end at `from` any more, but `to` is its last event, and the log's. */
  move(stream: string, from: StreamEnd, to: StreamEnd): void {
    if (!this.#moved.has(stream)) this.#moved.set(stream, from)
    this.#ends.appended(stream, to)
  }

  /** Inside the transaction, before its end: brings ends to the table, if it is time. */
  store(): void {
    if (this.#before === undefined) return
    this.#round ??= this.#nextRound()
    if (!this.#round) return
    const { streams, through } = this.#round
    const events = this.#ends.upTo - this.#before
    for (let due = Math.max(this.#atLeast, FOR_EACH_EVENT * events); due > 0; due -= 1) {
      const stream = streams.pop()
      if (stream === undefined) {
        this.#finish(through)
        return
      }
      const { version, position } = this.#ends.of(stream)
      this.#sql.store.run(stream, version, position, streamChecksum(stream, { version, position }))
    }
  }

  #nextRound(): Round | undefined {
    if (this.#ends.behind < this.#behind) return undefined
    return { through: this.#ends.upTo, streams: this.#ends.lacking().sort().reverse() }
  }

  #finish(through: Position): void {
    this.#sql.reach.run(through, throughChecksum(through), through)
    this.#ends.stored(through)
    this.#round = undefined
    this.#finished = true
  }

  /** Once per transaction and inside it: from then on nobody else can write. */
  #lookForOthers(): Position {
    const version = this.#sql.dataVersion.get()?.data_version
    if (version !== this.#seen) this.#ends.catchUp()
    this.#seen = version
    return this.#ends.upTo
  }

  /** The last transaction did not commit. */
  #takeBack(): void {
    // Whatever it failed with: the log is looked at again.
    this.#seen = undefined
    if (this.#before === undefined) return
    this.#round = undefined
    if (this.#finished) this.#ends.forget()
    else this.#ends.takeBack(this.#moved, this.#before)
  }
}
