import type { EventMetadata, RecordedEvent } from '../kernel/event.ts'
import type { Partition } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'

/** An event on its way into the log; `data` is JSON. */
export interface NewEvent {
  /** A UUIDv7; the log makes one if it is left out. */
  readonly id?: string
  readonly type: string
  readonly schemaVersion: number
  readonly data: unknown
}

/** Makes an append happen once, however often it is tried. */
export interface Idempotency {
  /** Chosen by the caller, e.g. the HTTP header `Idempotency-Key`. */
  readonly key: string
  /** Tells whether a later use of the key asks for the same thing. */
  readonly fingerprint: string
}

export interface AppendRequest {
  readonly stream: string
  /** Version of the stream on which the decision rests; 0 for a stream without events. */
  readonly expectedVersion: number
  /**
   * Id of the event that must be the stream's last one, besides the version. For a decision that rests on an
   * append that is still under way: should another writer be faster, that append is refused, while its events
   * may have brought the stream to the very version that this one expects.
   */
  readonly expectedLast?: string
  /** May be empty to record an idempotency key whose command changed nothing. */
  readonly events: readonly NewEvent[]
  readonly metadata: EventMetadata
  readonly idempotency?: Idempotency
}

/** What is known of a command that carried an idempotency key. */
export interface RecordedCommand {
  readonly key: string
  readonly fingerprint: string
  readonly stream: string
  /** Position of the stream's last event after the command. */
  readonly position: Position
  /** Version of the stream after the command. */
  readonly version: number
  /** How many events the command appended. */
  readonly events: number
}

export type AppendOutcome =
  /** On stable storage. `position` and `version` are those of the stream's last event. */
  | { readonly kind: 'appended'; readonly position: Position; readonly version: number }
  /** Another append was faster; nothing was stored. */
  | { readonly kind: 'version-conflict'; readonly actualVersion: number }
  /** The key was used before; nothing was stored now. */
  | { readonly kind: 'duplicate-command'; readonly original: RecordedCommand }

/** A run of the log, in order. */
export interface LogPage {
  readonly events: readonly RecordedEvent[]
  /** Everything up to here was looked at, whether its type was asked for or not. */
  readonly through: Position
  /** The last position of the log when the page was read. */
  readonly head: Position
}

/** How much data a read looks at, unless it says otherwise, in bytes; see {@link ReadOptions.bytes}. */
export const PAGE_BYTES = 8_388_608

/** What of the log is read. */
export interface ReadOptions {
  /** Positions looked at, whether they are wanted or not. */
  readonly limit: number
  /**
   * Data of the events looked at, in bytes of its JSON: the page ends with the event that passes them, so that it has one at
   * least, however large. Default {@link PAGE_BYTES}.
   */
  readonly bytes?: number
  /** Only events of these types; all if left out. */
  readonly types?: ReadonlySet<string>
  /** Only events of streams in this partition; all if left out. */
  readonly partition?: Partition
}

/**
 * The event log: the one truth. Positions are contiguous and grow in commit order; a reader never sees
 * p + 1 before p. Data leaves it as it was stored: decoding is the reader's business.
 *
 * Every method rejects with a CqrsError (CQRS_STORE_…) if the store fails.
 */
export interface EventLog {
  /** Resolves after the events are on stable storage, or with the reason why nothing was stored. */
  append(request: AppendRequest): Promise<AppendOutcome>
  /** The command that used an idempotency key, if any did. */
  findCommand(key: string): Promise<RecordedCommand | undefined>
  /** The events of a stream above version `after` (default 0), oldest first, in batches of at most about {@link PAGE_BYTES}. */
  readStream(stream: string, options?: { after?: number }): AsyncIterable<readonly RecordedEvent[]>
  /** The last events of a stream, newest first, below version `before` if given. */
  history(stream: string, options: { limit: number; before?: number }): Promise<readonly RecordedEvent[]>
  /** The next positions after `after`, within `limit` and `bytes`; only events of the wanted types and streams. */
  readFrom(after: Position, options: ReadOptions): Promise<LogPage>
  /** The last position; 0 if the log is empty. */
  head(): Promise<Position>
  close(): Promise<void>
}
