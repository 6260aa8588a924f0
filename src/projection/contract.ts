import type { Position } from '../kernel/position.ts'
import type { Effect } from '../kernel/projection.ts'
import type { FindOptions, Page, ViewReader } from '../kernel/query.ts'
import type { DigestMark } from './audit.ts'
import type { Duty } from './duty.ts'
import type { Searchable } from './find.ts'

/** How far a view is, stored with its documents in one transaction. */
export interface Checkpoint {
  /** Every event up to here is applied or parked. */
  readonly position: Position
  /** How many of these events are of the projection's types. */
  readonly processed: number
  /** Running digest over them; see digest.ts. Hexadecimal. */
  readonly digest: string
  /**
   * Grows by one with every change of the view, whoever makes it. A change is committed only if the revision is still
   * the one that it was computed from, so that one of two writers is fenced off.
   */
  readonly revision: number
}

/**
 * Why an event is parked:
 * `retrying`: it failed and is tried again when due; `dead`: it failed too often and waits for an
 * operator; `waiting`: it did not fail, but an earlier event of its sequence is parked.
 */
export type ParkedStatus = 'retrying' | 'dead' | 'waiting'

/** One failed attempt. */
export interface FailedAttempt {
  /** ISO 8601. */
  readonly at: string
  readonly message: string
  readonly stack?: string
}

/** An event that is not applied yet. The event itself stays in the log. */
export interface ParkedEvent {
  readonly position: Position
  readonly sequence: string
  readonly type: string
  readonly status: ParkedStatus
  readonly attempts: number
  /** When to try again, in milliseconds since 1970; 0 unless `retrying`. */
  readonly dueAt: number
  /** The last attempts, oldest first. */
  readonly failures: readonly FailedAttempt[]
  /** ISO 8601. */
  readonly parkedAt: string
}

/** What an effect inherits from its event; effects that an earlier version recorded may lack all of it. */
export interface Inherited {
  /** The W3C trace context of the event, if it has one. */
  readonly traceparent?: string
  /** The correlation id of the event. */
  readonly correlationId?: string
  /** The id of the event. */
  readonly causationId?: string
  /** The sequence of the event, within which effects are sent in order. */
  readonly sequence?: string
}

/** An effect with what it inherits from its event. */
export type TracedEffect = Effect & Inherited

/** An effect under the key that it is sent with. */
export interface NamedEffect {
  /** `<projection>:<position>:<n>`; the same however often it is sent. */
  readonly idempotencyKey: string
  readonly effect: TracedEffect
  /** What is stored is not what was recorded. It must not be sent; `effect` only shows what is there. */
  readonly damaged?: true
}

/** An effect that is recorded and not yet sent. */
export interface RecordedEffect extends NamedEffect {
  readonly status: 'pending' | 'dead'
  readonly attempts: number
  /** The error of the last attempt; `failedAt` says when that was (ISO 8601). */
  readonly error: string | undefined
  readonly failedAt: string | undefined
}

/** Dead effects that are pending again. */
export interface Redriven {
  readonly redriven: number
  /** The place of the last one if there may be more dead effects after it, else undefined. */
  readonly last: EffectPlace | undefined
}

/** An effect at its place in the order of sending. */
export interface PlacedEffect extends RecordedEffect {
  readonly place: number
  /** The size of the stored effect, in bytes. */
  readonly bytes: number
}

/** The positions of some events, and of those among them whose effects the outgoing generation owes. */
interface Decided {
  readonly positions: readonly Position[]
  readonly owed: ReadonlySet<Position>
}

/** One of the steps in which a generation takes the place of another one; see take-over.ts. */
export interface TakeOverStep {
  /** Idempotency keys of effects recorded here that are void, and are removed. */
  readonly voided?: readonly string[]
  /** Effects of the outgoing generation, the last one first. Each is put before all effects that are recorded here. */
  readonly effects?: readonly RecordedEffect[]
  /** Events with withheld effects: those that the outgoing generation owes become pending, the others are dropped. */
  readonly withheld?: Decided
  /** Parked events: if the outgoing generation owes their effects, these are still owed here; else they are settled. */
  readonly parked?: Decided
  /** What operators gave up in the outgoing generation. */
  readonly discarded?: readonly Discarded[]
  /** When an event that waited behind a discarded one becomes due, in milliseconds since 1970. */
  readonly now?: number
  /**
   * The number of the swap, in the last step only: with it the view owes the effects. This step is synced, and with it
   * all steps before it.
   */
  readonly swap?: number
}

/** Everything that one step changes; committed whole or not at all. */
export interface ViewChange {
  /** The revision that the change was computed from. */
  readonly expectedRevision: number
  /** The new checkpoint; absent if the change concerns parked events only. */
  readonly advanceTo?: Omit<Checkpoint, 'revision'>
  /** The changed documents, each key once; null removes a document. Must be iterable more than once. */
  readonly documents: Iterable<readonly [key: string, document: unknown]>
  /** Events that are parked now, or whose parking changed. */
  readonly parked: readonly ParkedEvent[]
  /** Positions of parked events that are settled. */
  readonly settled: readonly Position[]
  readonly effects: readonly NamedEffect[]
  /** Effects that another generation owes at the moment; see duty.ts. */
  readonly withheld?: readonly NamedEffect[]
  /** Further digest marks that the change passes, for audits. */
  readonly marks?: readonly DigestMark[]
  /** Parked events that an operator gave up, with who and why. */
  readonly discarded?: readonly Discarded[]
}

/** A parked event that an operator gave up. */
export interface Discarded {
  readonly event: ParkedEvent
  readonly by: string
  readonly reason: string
  /** ISO 8601. */
  readonly at: string
}

/** A given-up event, at its place in the order in which they were recorded. */
export interface PlacedDiscard extends Discarded {
  readonly place: number
}

export type CommitOutcome =
  | { readonly kind: 'committed'; readonly revision: number }
  /** Another writer changed the view meanwhile; nothing was stored. */
  | { readonly kind: 'superseded' }

/**
 * The events that are about to be handed to handlers. A trial is stored before the handlers run and removed by the
 * commit that follows. So whoever finds one knows that a process ended while the handlers ran.
 */
export interface Trial {
  readonly from: Position
  readonly to: Position
  /** How many processes ended during earlier trials of this one event. */
  readonly ends: number
}

export interface ParkedCounts {
  readonly retrying: number
  readonly dead: number
  readonly waiting: number
}

/** The state of a view, for operators. */
export interface ViewStanding {
  readonly position: Position
  readonly parked: ParkedCounts
  readonly effects: { readonly pending: number; readonly dead: number }
}

/** See {@link Freshness}. */
export const MOST_PARKED = 10_000

/**
 * How new a view is at one moment. What is read afterwards reflects every event up to `position`, except at most
 * `parked` ones.
 */
export interface Freshness {
  readonly position: Position
  /**
   * How many events are not applied yet: they wait for a retry, for an operator, or behind an event that does. At most
   * {@link MOST_PARKED} are counted; that number plus one means that there are more.
   */
  readonly parked: number
}

/** A view, or a partition of it, as its readers see it, in the writer's process or in another one. */
export interface ReadableView extends ViewReader<unknown>, Searchable {
  /** @param characters the most characters of JSON that the documents of the page may have */
  find(options: FindOptions, characters?: number): Promise<Page<unknown>>
  /** Whether anybody has written the view; until then it is empty. */
  isWritten(): Promise<boolean>
  /**
   * Whether another view took the place of this one after it was opened. What is read here then does not change any
   * more.
   */
  isReplaced(): boolean
  /** The position of the view; what is read afterwards is at least as new. */
  position(): Promise<Position>
  /** How new the view is. Cheap enough to be called for each query. */
  freshness(): Promise<Freshness>
  /** For an audit: the digest marks after a position, up to `through`, and then the checkpoint. */
  marks(after: Position, through?: Position): Promise<DigestMark[]>
  /** For operators: the position of the view, its parked events and its unsent effects. */
  standing(): Promise<ViewStanding>
  close(): Promise<void>
}

/** The position of an effect's event, and the number of the effect among those of its event, counted from 1. */
export interface EffectPlace {
  readonly position: Position
  readonly n: number
}

/**
 * One generation of one view, as its writer sees it. Every method rejects with a CqrsError (CQRS_STORE_…) if the store
 * fails.
 */
export interface ViewStore {
  checkpoint(): Promise<Checkpoint>
  /**
   * The documents of those keys that have one. They are frozen as by freezeJson, so that no handler changes one in
   * place.
   */
  load(keys: Iterable<string>): Promise<Map<string, unknown>>
  /**
   * Also ends the trial, if one was begun, and stores a digest mark if the new checkpoint passes one; see `passesMark`.
   */
  commit(change: ViewChange): Promise<CommitOutcome>
  /**
   * Begins the trial of events for a change that is computed from `revision`. Does nothing if the view has another
   * revision by now: then the change will be refused, and a stored trial is that of the writer who was faster.
   */
  beginTrial(trial: Trial, revision: number): Promise<void>
  /**
   * Ends the trial of a change that was not committed although its process goes on. Does nothing if the view has
   * another revision.
   */
  endTrial(revision: number): Promise<void>
  /** The trial that was begun and not ended. */
  trial(): Promise<Trial | undefined>
  /** Whether any event is parked. */
  hasParked(): Promise<boolean>
  /** Which of the given sequences have parked events. */
  parkedSequences(among: Iterable<string>): Promise<Set<string>>
  /** The first parked event of each sequence that is retrying and due at `now`, earliest first. */
  dueEvents(now: number, limit: number): Promise<ParkedEvent[]>
  /** Makes each retrying event due at `latest` or earlier, whatever clock its due time was taken from. */
  notDueAfter(latest: number): Promise<void>
  /** When the next retrying event is due, in milliseconds since 1970. */
  nextDueAt(): Promise<number | undefined>
  /** Parked events of a sequence in order. */
  sequence(sequence: string, limit: number): Promise<ParkedEvent[]>
  /**
   * The heads of parked sequences, by position: the events that failed, each with the number of events that wait behind
   * it.
   */
  letters(options: { after: Position; limit: number }): Promise<{ event: ParkedEvent; waiting: number }[]>
  parkedEvent(position: Position): Promise<ParkedEvent | undefined>
  parkedCounts(): Promise<ParkedCounts>
  /** The effects to be sent next: at most `limit`, and none after the one that reaches `maxBytes`. */
  pendingEffects(limit: number, maxBytes?: number): Promise<RecordedEffect[]>
  /** Recorded effects before a place, the last one first; limits as in {@link pendingEffects}. */
  effectsBefore(place: number | undefined, limit: number, maxBytes: number): Promise<PlacedEffect[]>
  /** @throws CqrsError CQRS_STORE_CORRUPT if there are more recorded effects than {@link effectsBefore} has given */
  assertNoMoreEffectsThan(count: number): Promise<void>
  /** Forgets effects that were sent. */
  effectsSent(idempotencyKeys: readonly string[]): Promise<void>
  /** Stores how often the receiver of a pending effect ended before it answered, as the effect's `attempts`. */
  effectStopped(idempotencyKey: string, times: number): Promise<void>
  /** Marks an effect that could not be sent as dead. */
  effectFailed(
    idempotencyKey: string,
    failure: { attempts: number; error: string; at: string },
  ): Promise<void>
  /**
   * Dead effects after a place, oldest first; limits as in {@link pendingEffects}. If a key is given, only the effect
   * with that key.
   */
  deadEffects(
    limit: number,
    idempotencyKey?: string,
    after?: EffectPlace,
    maxBytes?: number,
  ): Promise<RecordedEffect[]>
  /**
   * Makes dead effects pending again: the one with the given key, or the next ones after a place (by default from the
   * first one on).
   */
  redriveEffects(idempotencyKey?: string, after?: EffectPlace): Promise<Redriven>
  /** Gives a dead effect up, and records who did and why. @returns whether it was dead */
  discardEffect(idempotencyKey: string, discard: { by: string; reason: string; at: string }): Promise<boolean>
  /** Which of the given events operators gave up, with who and why. The positions must be in ascending order. */
  discardedAmong(positions: readonly Position[]): Promise<Discarded[]>
  /** Events that operators gave up, after a place (0 for all); limits as in {@link pendingEffects}. */
  discardedAfter(place: number, limit: number, maxBytes?: number): Promise<PlacedDiscard[]>
  /**
   * What the view owes among the given events. The view is synced first, so that no power cut undoes what this reports
   * as done.
   */
  duty(among: readonly Position[]): Promise<Duty>
  /** Positions of parked events after a position, in order. */
  parkedAfter(position: Position, limit: number): Promise<Position[]>
  /** Positions of events with withheld effects, after a position, in order; limits as in {@link pendingEffects}. */
  withheldAfter(position: Position, limit: number, maxBytes?: number): Promise<Position[]>
  /** Forgets the withheld effects of the given events. */
  dropWithheld(positions: readonly Position[]): Promise<void>
  /**
   * Takes one step towards becoming the generation that owes the effects; the last step makes it that. Each step
   * changes the revision.
   *
   * @returns false if the view has another revision than `expectedRevision`; then nothing was changed
   */
  takeOver(step: TakeOverStep, expectedRevision: number): Promise<boolean>
  /** The number of the last swap at which it took over; 0 if it never did. */
  tookOver(): Promise<number>
  /**
   * Whether the view was removed, or another one took its place, after it was opened. No reader sees what is written
   * here then. A view whose whole folder is missing does not count as removed: the folder was moved or unmounted.
   */
  isReplaced(): boolean
  close(): Promise<void>
}
