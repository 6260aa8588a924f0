import type { QueueSettings } from './settings.ts'

/** A message to be stored; `data` is JSON text and never parsed by a store. */
export interface NewMessage {
  queue: string
  /** Names the message; a second one with the same id in the same queue is a duplicate. */
  id: string
  /** The function it is for. */
  functionId: string
  /** Messages of one group are delivered one at a time, in order; undefined: no order. */
  group: string | undefined
  data: string
  /** W3C trace context of whoever enqueued it. */
  traceparent?: string | undefined
}

/** A message that waits in a queue. */
export interface StoredMessage {
  /** Its place in its queue: increases by one with each accepted message, never used twice. */
  seq: number
  id: string
  functionId: string
  group: string | undefined
  data: string
  /** W3C trace context of whoever enqueued it. */
  traceparent?: string | undefined
  /** Deliveries that failed. */
  attempts: number
  /** Deliveries whose worker died before it answered. */
  stops: number
  /** Not to be delivered before, in milliseconds since the epoch. */
  dueAt: number | undefined
}

/** One failed delivery. */
export interface Failure {
  kind: 'failed' | 'stopped'
  error: string
  /** Milliseconds since the epoch. */
  at: number
}

/** What is written after a failed delivery: the new counts, and why. */
export interface FailureRecord {
  seq: number
  attempts: number
  stops: number
  failure: Failure
}

/** A message that was given up; it stays until it is redriven or discarded. */
export interface DeadLetter {
  seq: number
  id: string
  functionId: string
  group: string | undefined
  data: string
  attempts: number
  stops: number
  /** The last failure's error. */
  error: string
  /** Milliseconds since the epoch. */
  failedAt: number
  /** The failures that led here, oldest first; the newest {@link HISTORY_LIMIT} are kept. */
  history: Failure[]
  /**
   * Set if `data` and all failures but the last were left out because the page got too long. `bytes` is the size of
   * `data` in bytes.
   */
  cut?: { bytes: number }
}

/** How many failures of one message are remembered. */
export const HISTORY_LIMIT = 20

/** A topic subscription that a queue belongs to. */
export interface Subscription {
  topic: string
  functionId: string
  /** Asked before each delivery; `false` as its answer skips the message. */
  conditionFunctionId: string | undefined
}

/** A queue's settings and, if it belongs to a topic subscription, that subscription. */
export interface QueueDefinition {
  settings: QueueSettings
  subscription: Subscription | undefined
}

/** How much is in a queue. */
export interface QueueCounts {
  /** Messages that are neither finished nor dead: ready, in flight, or waiting for a retry. */
  depth: number
  /** Dead letters. */
  dead: number
}

/** A queue as it is stored. */
export interface StoredQueue extends QueueDefinition, QueueCounts {
  name: string
  paused: boolean
  /** The seq of the last message that was ever accepted; 0 if there was none. */
  tail: number
  /**
   * When the oldest message that waits was accepted, or redriven, in milliseconds since the epoch; undefined if
   * none waits.
   */
  oldestAt?: number | undefined
}

/** A queue as operators see it. */
export interface QueueStatus extends StoredQueue {
  inFlight: number
  retrying: number
  /** Functions that messages of this queue wait for. */
  missing: string[]
  /** Messages in memory: held whole, and known by their seq. */
  memory: { held: number; tracked: number }
}

/** The outcome of one enqueue: its seq, or why nothing was stored. */
export type EnqueueOutcome =
  | { outcome: 'accepted'; seq: number }
  | { outcome: 'duplicate' }
  | { outcome: 'unknown-queue' }

/** A page of messages in order. */
export interface MessagePage {
  messages: StoredMessage[]
  /** Every message up to this seq was looked at; the next page starts after it. */
  end: number
  /** The last seq that the queue has given out. */
  tail: number
}

/**
 * Where queues live. One process uses a store at a time. Every method resolves once its effect is on stable storage. It
 * throws a CqrsError if the store fails; then nothing was changed, except perhaps with CQRS_STORE_UNAVAILABLE: the change
 * may have been made, and only its answer lost. No method's cost grows with the number of stored messages, except where
 * it says so.
 */
export interface QueueStore {
  /** Defines a queue or replaces its definition; counts and messages stay. */
  define(queue: string, definition: QueueDefinition): Promise<void>
  /** Stores whether a queue is paused, so that this survives restarts. False if there is no such queue. */
  setPaused(queue: string, paused: boolean): Promise<boolean>
  /** Every queue, sorted by name; with `only`, those of these names that exist. The cost grows with their number. */
  queues(only?: readonly string[]): Promise<StoredQueue[]>
  /** The counts of a queue, undefined if there is no such queue. */
  counts(queue: string): Promise<QueueCounts | undefined>
  /**
   * Stores messages, all of them or (on an error) none; one outcome for each, in order. Outcomes are
   * answered in the order of the calls, so that seqs of one queue arrive in order.
   */
  enqueue(messages: NewMessage[]): Promise<EnqueueOutcome[]>
  /** Removes finished messages; seqs that are not there are ignored. */
  acknowledge(queue: string, seqs: number[]): Promise<void>
  /**
   * Counts a failed delivery and sets the time of the next. Changes nothing if the last one had the same counts: it is
   * recorded again. False if the message is not there.
   */
  recordFailure(queue: string, record: FailureRecord, dueAt: number): Promise<boolean>
  /** Moves a message to the dead letters. False if the message is not there. */
  deadLetter(queue: string, record: FailureRecord): Promise<boolean>
  /**
   * At most `limit` messages with a seq above `after`, in order. Stops after the message with which their data reaches
   * `maxBytes` characters.
   */
  read(queue: string, after: number, limit: number, maxBytes: number): Promise<MessagePage>
  /** The messages of `seqs` that are still there, in the order of `seqs`; see {@link read} for `maxBytes`. */
  load(queue: string, seqs: number[], maxBytes: number): Promise<StoredMessage[]>
  /**
   * At most `limit` dead letters with a seq above `after` (default 0), in their original order. The cost grows with
   * `offset`, not with `after`. From the letter on with which data and histories exceed `maxLength` characters
   * (default: no limit), letters are {@link DeadLetter.cut}. The first one is always whole, except if `maxLength` is 0:
   * then all are cut.
   */
  deadLetters(
    queue: string,
    offset: number,
    limit: number,
    after?: number,
    maxLength?: number,
  ): Promise<DeadLetter[]>
  /** One dead letter, whole; undefined if it is not among the dead letters (any more). */
  findDeadLetter(queue: string, id: string): Promise<DeadLetter | undefined>
  /**
   * Puts up to `limit` dead letters back into the queue, oldest first. They keep their seqs; their attempts and stops
   * start at 0 again. Returns how many.
   */
  redrive(queue: string, limit: number): Promise<number>
  /** Puts one dead letter back. False if it is not among the dead letters (any more). */
  redriveMessage(queue: string, id: string): Promise<boolean>
  /** Deletes one dead letter. False if it is not among the dead letters (any more). */
  discard(queue: string, id: string): Promise<boolean>
  /** Deletes up to `limit` messages with a seq up to `through`, oldest first; dead letters stay. Returns how many. */
  purge(queue: string, through: number, limit: number): Promise<number>
  /** Removes a queue with up to `limit` of its messages and dead letters. True when all are gone. */
  remove(queue: string, limit: number): Promise<boolean>
  /** Finishes what was submitted and closes. */
  close(): Promise<void>
}
