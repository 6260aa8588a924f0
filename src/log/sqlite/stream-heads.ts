import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { checkedStream, type StreamRow, streamChecksum } from './row.ts'

/** Where a stream ends; version and position 0 if it has no events. */
export interface StreamHead {
  readonly version: number
  readonly position: number
  /** Id of the last event; undefined while it was not asked for. */
  readonly id: string | undefined
}

const NO_EVENTS: StreamHead = { version: 0, position: 0, id: undefined }

/**
 * Where each stream ends, for the writer of the log: read from the table `streams` once, remembered while it can
 * be trusted. SQLite's `data_version` changes when another connection has written, and then everything is
 * forgotten; so is everything after a transaction that did not commit.
 */
export class StreamHeads {
  readonly #size: number
  readonly #sql: Readonly<Record<'find' | 'findId' | 'move' | 'dataVersion', StatementSync>>
  readonly #known = new Map<string, StreamHead>()
  /** The `data_version` up to which changes of others are known. */
  #seen: unknown
  #committed = true
  /** Whether the open transaction has looked for changes of others. */
  #looked = false

  /** @param size streams that are remembered at the most */
  constructor(db: DatabaseSync, size: number) {
    this.#size = size
    this.#sql = {
      find: db.prepare('SELECT version, position, checksum FROM streams WHERE stream = ?'),
      findId: db.prepare('SELECT id FROM events WHERE position = ?'),
      move: db.prepare(`INSERT INTO streams (stream, version, position, checksum) VALUES (?, ?, ?, ?)
        ON CONFLICT (stream) DO UPDATE SET version = excluded.version, position = excluded.position,
          checksum = excluded.checksum`),
      dataVersion: db.prepare('PRAGMA data_version'),
    }
  }

  /** A transaction is about to begin. */
  begin(): void {
    if (!this.#committed) this.#known.clear()
    this.#committed = false
    this.#looked = false
  }

  committed(): void {
    this.#committed = true
  }

  /** Inside the transaction: where the stream ends. @throws CqrsError CQRS_STORE_CORRUPT */
  of(stream: string): StreamHead {
    this.#lookForOthers()
    const known = this.#known.get(stream)
    if (known) return known
    const row = this.#sql.find.get(stream) as unknown as StreamRow | undefined
    if (!row) return NO_EVENTS
    const { version, position } = checkedStream(stream, row)
    return this.#remember(stream, { version, position, id: undefined })
  }

  /** Inside the transaction: the id of the stream's last event. */
  lastId(stream: string): string | undefined {
    const head = this.of(stream)
    if (head.id !== undefined || head.position === 0) return head.id
    const id = this.#sql.findId.get(head.position)?.id as string | undefined
    return this.#remember(stream, { ...head, id }).id
  }

  /** Inside the transaction: stores where the stream ends now. */
  move(stream: string, head: StreamHead): void {
    const { version, position } = head
    this.#sql.move.run(stream, version, position, streamChecksum(stream, head))
    this.#remember(stream, head)
  }

  /** Once per transaction and inside it: from then on nobody else can write. */
  #lookForOthers(): void {
    if (this.#looked) return
    this.#looked = true
    const version = this.#sql.dataVersion.get()?.data_version
    if (version !== this.#seen) this.#known.clear()
    this.#seen = version
  }

  #remember(stream: string, head: StreamHead): StreamHead {
    if (this.#known.size >= this.#size && !this.#known.has(stream)) this.#known.clear()
    this.#known.set(stream, head)
    return head
  }
}
