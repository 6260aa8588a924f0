import type { Position } from '../kernel/position.ts'
import type { Effect } from '../kernel/projection.ts'
import type { ViewReader } from '../kernel/query.ts'
import type { DigestMark } from './audit.ts'
import type { Duty } from './duty.ts'
import type { Searchable } from './find.ts'

/** How far a view is, stored with its documents in one transaction. */
export interface Checkpoint {
  /** Every event up to here is applied or parked. */
  readonly position: Position
  /** How many events of the projection's types that were. */
  readonly processed: number
  /** Running digest over them; see digest.ts. Hexadecimal. */
  readonly digest: string
  /**
   * One more with every change of the view, whoever makes it. A change is committed only if the
   * revision is still the one that it was computed from, so that of two writers one is fenced off.
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

/** An effect with the W3C trace context of its event, if that has one. */
export type TracedEffect = Effect & { readonly traceparent?: string }

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
  /** Of the last attempt, with when it failed (ISO 8601). */
  readonly error: string | undefined
  readonly failedAt: string | undefined
}

/** Dead effects that are pending again. */
export interface Redriven {
  readonly redriven: number
  /** Of the last one, if there may be more behind it. */
  readonly last: EffectPlace | undefined
}

/** An effect at its place in the order of sending. */
export interface PlacedEffect extends RecordedEffect {
  readonly place: number
  /** How long what is stored of it is. */
  readonly bytes: number
}

/** Events, and those among them that the outgoing generation owes. */
interface Decided {
  readonly positions: readonly Position[]
  readonly owed: ReadonlySet<Position>
}

/** One of the steps in which a generation takes the place of another one; see take-over.ts. */
export interface TakeOverStep {
  /** Keys of recorded effects that are void. */
  readonly voided?: readonly string[]
  /** Effects of the outgoing generation, the last one first. Each comes before all that are recorded here. */
  readonly effects?: readonly RecordedEffect[]
  /** Withheld effects of these events are pending now, or are dropped. */
  readonly withheld?: Decided
  /** Parked events whose effects are still owed, or are settled. */
  readonly parked?: Decided
  /** What operators gave up in the outgoing generation. */
  readonly discarded?: readonly Discarded[]
  /** When what waited behind a discarded event is due, in milliseconds since 1970. */
  readonly now?: number
  /** The number of the swap: all steps are taken, and the view owes. This is synced, with the steps before it. */
  readonly swap?: number
}

/** Everything that one step changes; committed whole or not at all. */
export interface ViewChange {
  /** The revision that the change was computed from. */
  readonly expectedRevision: number
  /** The new checkpoint, unless the change applies a parked event only. */
  readonly advanceTo?: Omit<Checkpoint, 'revision'>
  /** What becomes of documents, each key once; null removes. Can be gone through more than once. */
  readonly documents: Iterable<readonly [key: string, document: unknown]>
  /** Events that are parked now, or whose parking changed. */
  readonly parked: readonly ParkedEvent[]
  /** Positions of parked events that are settled. */
  readonly settled: readonly Position[]
  readonly effects: readonly NamedEffect[]
  /** Effects that another generation owes at the moment; see duty.ts. */
  readonly withheld?: readonly NamedEffect[]
  /** Further points that the change passes, for audits. */
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

/** One at its place in the order in which they were recorded. */
export interface PlacedDiscard extends Discarded {
  readonly place: number
}

export type CommitOutcome =
  | { readonly kind: 'committed'; readonly revision: number }
  /** Another writer changed the view meanwhile; nothing was stored. */
  | { readonly kind: 'superseded' }

/**
 * What is about to be handed to handlers. It is stored before they run and removed by the commit that
 * follows, so that whoever finds one knows that a process ended while it was under way.
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

/** How a view stands. */
export interface ViewStanding {
  readonly position: Position
  readonly parked: ParkedCounts
  readonly effects: { readonly pending: number; readonly dead: number }
}

/** See {@link Freshness}. */
export const MOST_PARKED = 10_000

/**
 * How new a view is, of one moment. What is read afterwards holds every event up to `position`, but for `parked` ones at the
 * most.
 */
export interface Freshness {
  readonly position: Position
  /**
   * Events that are not applied yet: they wait for a retry, for an operator, or behind one that does. More than
   * {@link MOST_PARKED} are not counted: one more stands for them.
   */
  readonly parked: number
}

/** A view, or a partition of it, from its readers' side: in a process of its own or beside the writer. */
export interface ReadableView extends ViewReader<unknown>, Searchable {
  /** Whether anybody has written it; until then it is empty. */
  isWritten(): Promise<boolean>
  /** Where the view is; what is read afterwards is at least as new. */
  position(): Promise<Position>
  /** How new the view is. Cheap enough to be asked for with each query. */
  freshness(): Promise<Freshness>
  /** Marks of the digest beyond a position, and not beyond `through`, then the checkpoint, for an audit. */
  marks(after: Position, through?: Position): Promise<DigestMark[]>
  /** Where the view is and what has not gone through, for operators. */
  standing(): Promise<ViewStanding>
  close(): Promise<void>
}

/** Where an effect comes from: the position of its event, and its number among the effects of that, from 1 on. */
export interface EffectPlace {
  readonly position: Position
  readonly n: number
}

/**
 * One generation of one view, from its writer's side.
 * Every method rejects with a CqrsError (CQRS_STORE_…) if the store fails.
 */
export interface ViewStore {
  checkpoint(): Promise<Checkpoint>
  /** The documents of those keys that have one, frozen as by freezeJson, so that no handler changes one in place. */
  load(keys: Iterable<string>): Promise<Map<string, unknown>>
  /** Also ends the trial, if one was begun, and marks the new checkpoint if that passes a mark; see `passesMark`. */
  commit(change: ViewChange): Promise<CommitOutcome>
  /**
   * Begins the trial of what is read at a revision. No-op if the view has another one by now: then the change will be refused,
   * and a trial that is there is that of whoever was faster.
   */
  beginTrial(trial: Trial, revision: number): Promise<void>
  /** Ends the trial of a change that was not committed, though its process goes on. No-op at another revision. */
  endTrial(revision: number): Promise<void>
  /** The trial that was begun and not ended. */
  trial(): Promise<Trial | undefined>
  /** Whether any event is parked. */
  hasParked(): Promise<boolean>
  /** Those of some sequences that have parked events. */
  parkedSequences(among: Iterable<string>): Promise<Set<string>>
  /** The first parked event of each sequence that is retrying and due at `now`, earliest first. */
  dueEvents(now: number, limit: number): Promise<ParkedEvent[]>
  /** Lets no retrying event wait longer than until `latest`, whatever clock its time was taken from. */
  notDueAfter(latest: number): Promise<void>
  /** When the next retrying event is due, in milliseconds since 1970. */
  nextDueAt(): Promise<number | undefined>
  /** Parked events of a sequence in order. */
  sequence(sequence: string, limit: number): Promise<ParkedEvent[]>
  /** The heads of parked sequences by position: what failed, with what waits behind it. */
  letters(options: { after: Position; limit: number }): Promise<{ event: ParkedEvent; waiting: number }[]>
  parkedEvent(position: Position): Promise<ParkedEvent | undefined>
  parkedCounts(): Promise<ParkedCounts>
  /** What is to be sent next, at most `limit`, and no more than one beyond `maxBytes`. */
  pendingEffects(limit: number, maxBytes?: number): Promise<RecordedEffect[]>
  /** Recorded effects before a place, the last one first; limits as in {@link pendingEffects}. */
  effectsBefore(place: number | undefined, limit: number, maxBytes: number): Promise<PlacedEffect[]>
  /** @throws CqrsError CQRS_STORE_CORRUPT if there are more recorded effects than {@link effectsBefore} has given */
  assertNoMoreEffectsThan(count: number): Promise<void>
  /** Forgets effects that were sent. */
  effectsSent(idempotencyKeys: readonly string[]): Promise<void>
  /** Notes how often whoever had taken a pending effect ended before an answer, as its `attempts`. */
  effectStopped(idempotencyKey: string, times: number): Promise<void>
  /** Marks an effect that could not be sent: it is dead. */
  effectFailed(
    idempotencyKey: string,
    failure: { attempts: number; error: string; at: string },
  ): Promise<void>
  /**
   * Dead effects, oldest first, those behind a place, no more than one beyond `maxBytes`; only one of them if a key is given.
   */
  deadEffects(
    limit: number,
    idempotencyKey?: string,
    after?: EffectPlace,
    maxBytes?: number,
  ): Promise<RecordedEffect[]>
  /** Makes dead effects pending again: one, or the next ones behind a place, from the first one on if none is given. */
  redriveEffects(idempotencyKey?: string, after?: EffectPlace): Promise<Redriven>
  /** Gives a dead effect up, with who and why. @returns whether it was dead */
  discardEffect(idempotencyKey: string, discard: { by: string; reason: string; at: string }): Promise<boolean>
  /** Which of some events, given in their order, operators gave up, with who and why. */
  discardedAmong(positions: readonly Position[]): Promise<Discarded[]>
  /** Events that operators gave up behind a place, from 0 on; limits as in {@link pendingEffects}. */
  discardedAfter(place: number, limit: number, maxBytes?: number): Promise<PlacedDiscard[]>
  /** What the view owes among some events. Synced first: no power cut takes back what this says is done. */
  duty(among: readonly Position[]): Promise<Duty>
  /** Positions of parked events beyond one, in order. */
  parkedAfter(position: Position, limit: number): Promise<Position[]>
  /** Positions beyond one of events whose effects are withheld, in order; no more than one beyond `maxBytes` of effects. */
  withheldAfter(position: Position, limit: number, maxBytes?: number): Promise<Position[]>
  /** Forgets withheld effects of events. */
  dropWithheld(positions: readonly Position[]): Promise<void>
  /**
   * Takes one of the steps to become the generation that owes, which the last one makes it. Each makes another revision.
   *
   * @returns false if the view has another revision than `expectedRevision`; then nothing was changed
   */
  takeOver(step: TakeOverStep, expectedRevision: number): Promise<boolean>
  /** Of which swap it took over last; 0 for none. */
  tookOver(): Promise<number>
  close(): Promise<void>
}
