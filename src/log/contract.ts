import type { EventMetadata, RecordedEvent } from '../kernel/event.ts'
import type { Partition } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'

/** An event on its way into the log; `data` is JSON. */
export interface NewEvent {
  /** A UUIDv7; the log creates one if it is left out. */
  readonly id?: string
  readonly type: string
  readonly schemaVersion: number
  readonly data: unknown
}

/** Makes an append take effect once, however often it is tried. */
export interface Idempotency {
  /** Chosen by the caller, e.g. the HTTP header `Idempotency-Key`. */
  readonly key: string
  /** Shows whether a later use of the key asks for the same thing. */
  readonly fingerprint: string
}

export interface AppendRequest {
  readonly stream: string
  /** Version of the stream that the decision was based on; 0 for a stream without events. */
  readonly expectedVersion: number
  /**
   * Id that the stream's last event must have, in addition to the version. Needed when the decision builds on an append
   * that is still in progress: if another writer is faster, that append is refused, but the other writer's events may
   * have brought the stream to exactly the version expected here.
   */
  readonly expectedLast?: string
  /** May be empty, to record the idempotency key of a command that changed nothing. */
  readonly events: readonly NewEvent[]
  readonly metadata: EventMetadata
  readonly idempotency?: Idempotency
}

/** What the log remembers of a command that carried an idempotency key. */
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
  /** The events are on stable storage. `position` and `version` are those of the stream's last event. */
  | { readonly kind: 'appended'; readonly position: Position; readonly version: number }
  /** Another append was faster; nothing was stored. */
  | { readonly kind: 'version-conflict'; readonly actualVersion: number }
  /** The key was used before; nothing was stored this time. */
  | { readonly kind: 'duplicate-command'; readonly original: RecordedCommand }

/** Consecutive positions of the log, in order. */
export interface LogPage {
  readonly events: readonly RecordedEvent[]
  /** The last position that was looked at, whether or not its event was wanted. */
  readonly through: Position
  /** The last position of the log when the page was read. */
  readonly head: Position
}

/** The part of a page that ends with its `count`th event, which must exist. */
export function firstOf({ events, head }: LogPage, count: number): LogPage {
  const first = events.slice(0, count)
  return { events: first, through: first.at(-1)?.position ?? 0, head }
}

/** Default for {@link ReadOptions.bytes}: how much event data one read looks at, in bytes. */
export const PAGE_BYTES = 8_388_608

/** Which part of the log to read. */
export interface ReadOptions {
  /** The most positions to look at, whether or not their events are wanted. */
  readonly limit: number
  /**
   * How much event data to look at, in bytes of its JSON. The page ends with the event that exceeds this limit, so a
   * page has at least one event, however large. Default {@link PAGE_BYTES}.
   */
  readonly bytes?: number
  /** Only return events of these types; all if left out. */
  readonly types?: ReadonlySet<string>
  /** Only return events of streams in this partition; all if left out. */
  readonly partition?: Partition
}

/**
 * The event log: the single source of truth. Positions are contiguous and grow in commit order; a reader never sees p +
 * 1 before p. Data is returned as it was stored; the reader has to decode it.
 *
 * Every method rejects with a CqrsError (CQRS_STORE_…) if the store fails.
 */
export interface EventLog {
  /** Resolves after the events are on stable storage, or with the reason why nothing was stored. */
  append(request: AppendRequest): Promise<AppendOutcome>
  /** The command that used an idempotency key, if there was one. */
  findCommand(key: string): Promise<RecordedCommand | undefined>
  /**
   * The events of a stream above version `after` (default 0), oldest first.
   *
   * A batch holds at most about {@link PAGE_BYTES} of data.
   */
  readStream(stream: string, options?: { after?: number }): AsyncIterable<readonly RecordedEvent[]>
  /**
   * The last events of a stream, newest first, below version `before` if given. At least one if there is any, and none
   * after the one with which they exceed {@link PAGE_BYTES} of data.
   */
  history(stream: string, options: { limit: number; before?: number }): Promise<readonly RecordedEvent[]>
  /**
   * Reads the positions after `after`, within `limit` and `bytes`; returns only events of the wanted types and streams.
   */
  readFrom(after: Position, options: ReadOptions): Promise<LogPage>
  /** The last position; 0 if the log is empty. */
  head(): Promise<Position>
  close(): Promise<void>
}
