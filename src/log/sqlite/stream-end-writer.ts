import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Position } from '../../kernel/position.ts'
import { streamChecksum, throughChecksum } from './row.ts'
import { type StreamEnd, StreamEnds, type StreamEndsOptions } from './stream-ends.ts'

export interface StreamEndWriterOptions extends StreamEndsOptions {
  /** How many events the table may be behind before a round begins. Default 65,536. */
  readonly behind?: number | undefined
  /** The fewest ends that a transaction stores during a round. Default 256. */
  readonly atLeast?: number
}

/** Ends that a transaction stores for each event that it appends. More than one, so that the table catches up. */
const FOR_EACH_EVENT = 2

/** One round, which updates the table up to a position. */
interface Round {
  readonly through: Position
  /**
   * Streams whose ends are still to be stored, the next one last. Sorted, so that those on one page are written
   * together.
   */
  readonly streams: string[]
}

/**
 * Where each stream ends, for the writer of the log. Ends are not stored together with their events, since they can be
 * read from those, but in rounds. Once the table `streams` lags by {@link StreamEndWriterOptions.behind} events (tens
 * of thousands), a round begins: each of the following transactions stores a few hundred of the missing ends, in the
 * order of the table's pages, so that none takes long. So each page is written about once a round instead of once for
 * each event. When all ends are stored, the position at which the round began is written to `streams_through`.
 *
 * SQLite's `data_version` changes when another connection has written; then that connection's events are read.
 */
export class StreamEndWriter {
  readonly #ends: StreamEnds
  readonly #behind: number
  readonly #atLeast: number
  readonly #sql: Readonly<Record<'findId' | 'store' | 'reach' | 'dataVersion', StatementSync>>
  #round: Round | undefined
  /** The `data_version` up to which the changes of other connections are known. */
  #seen: unknown
  #committed = true
  /**
   * Last position of the log before the open transaction; undefined until the transaction has looked for changes of
   * others.
   */
  #before: Position | undefined
  /** For each stream that the open transaction has appended to: where it ended before. */
  readonly #moved = new Map<string, StreamEnd>()
  /** Whether the open transaction has finished a round. */
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

  /** Reads in advance what the first transaction would read. @throws CqrsError CQRS_STORE_CORRUPT */
  warmUp(): void {
    this.#lookForOthers()
  }

  /** To be called before a transaction begins. */
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

  /**
   * Inside the transaction: notes that events were appended to the stream, which ended at `from` and now ends at `to`.
   * That event is also the log's last one.
   */
  move(stream: string, from: StreamEnd, to: StreamEnd): void {
    if (!this.#moved.has(stream)) this.#moved.set(stream, from)
    this.#ends.appended(stream, to)
  }

  /** Inside the transaction, before it commits: stores ends in the table, if a round is in progress or due. */
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

  /**
   * Reads what other connections have appended. Called once in each transaction: from then on nobody else can write.
   */
  #lookForOthers(): Position {
    const version = this.#sql.dataVersion.get()?.data_version
    if (version !== this.#seen) this.#ends.catchUp()
    this.#seen = version
    return this.#ends.upTo
  }

  /** Undoes what the last transaction changed in memory, because it did not commit. */
  #takeBack(): void {
    // Look at the log again, whatever the reason for the failure.
    this.#seen = undefined
    if (this.#before === undefined) return
    this.#round = undefined
    if (this.#finished) this.#ends.forget()
    else this.#ends.takeBack(this.#moved, this.#before)
  }
}
