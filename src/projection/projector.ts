import { type Boundary, reached } from '../boundaries.ts'
import type { EventCatalog, RecordedEvent } from '../kernel/event.ts'
import type { Partition } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'
import { handledTypes, type ProjectionDefinition } from '../kernel/projection.ts'
import { type EventLog, firstOf, type LogPage } from '../log/contract.ts'
import { BlockedSequences } from './blocked-sequences.ts'
import type { Checkpoint, Discarded, NamedEffect, ParkedEvent, ViewChange, ViewStore } from './contract.ts'
import { extendDigest } from './digest.ts'
import { DocumentCache, type DocumentCacheLimits, keysOf } from './document-cache.ts'
import { type Documents, type FoldOutcome, fold, type PreparedEvent, prepare, sequenceOf } from './fold.ts'
import type { GivenUp } from './given-up.ts'
import { nameEffects } from './named-effects.ts'
import { parkBehind, parkFailed, type RetryPolicy } from './retry-policy.ts'
import { Trials } from './trials.ts'
import type { Turns } from './turns.ts'

export interface ProjectorOptions {
  projection: ProjectionDefinition
  /** The partition of the streams whose events make the view; all streams if left out. */
  partition?: Partition
  catalog: EventCatalog
  log: Pick<EventLog, 'readFrom'>
  view: ViewStore
  policy: RetryPolicy
  /** Shared by the projectors of a process: one trial at a time, so that only one is blamed if the process ends. */
  turns: Turns
  /** Positions read, folded and committed at once. */
  batchSize: number
  /** Data of the events read at once, in bytes; see {@link ReadOptions.bytes}. Default that of the log. */
  batchBytes?: number
  /** How many documents are kept in memory between batches. */
  documentCache: DocumentCacheLimits
  /** The wall clock, in milliseconds. */
  now: () => number
  /** How many parked events are applied in a row before the log has its turn again. Default 1,000. */
  retriesAtOnce?: number
  /** A clock that does not jump, for due times, in milliseconds since 1970; see kernel/steady-clock.ts. Default `now`. */
  steady?: () => number
  /** Gives a number in [0, 1). */
  random: () => number
  /** Called when a batch begins; the function it returns is called with the number of events committed. */
  batchBegins?: () => ((events: number) => void) | undefined
  /** Follows what becomes of each event, for traces. */
  applying?: Applying
  /** What an operator gave up in another generation of the view; it stays given up. None if left out. */
  givenUp?: GivenUp
  /** Gives the digest after a page if it was computed elsewhere already. By default it is computed here. */
  digestAfter?: (digest: string, page: LogPage) => string
}

/** Called when a batch or retry begins. The result is called with its events and the parked ones, once stored. */
export type Applying = () => (events: readonly RecordedEvent[], parked: readonly ParkedEvent[]) => void

/** How many sequences with events that are due are tried before the log has its turn again. */
const DUE_AT_ONCE = 100

/** An event has failed when processes have ended this often while it was tried alone. */
const ENDS_THAT_COUNT = 2

/**
 * `advanced`: a batch was committed; `at-head`: nothing was left to do; `superseded`: another writer was
 * faster, nothing was stored, and the next step starts from what that writer left.
 */
export type StepOutcome = 'advanced' | 'at-head' | 'superseded'

/**
 * Folds the log into one view, batch by batch. It is the only place where events meet handlers while a view is live,
 * and it does one thing at a time: callers take turns (see runner.ts).
 *
 * What it keeps in memory (checkpoint, documents, whether any event is parked) is what the view held at the
 * checkpoint's revision. Every change is committed against that revision; if it is not committed, for whatever reason,
 * memory is dropped and read again. Everything else on which a change is based is read after the checkpoint: if it is
 * newer, the commit is refused; if it were older, the commit would not be.
 *
 * A handler can also end the process, or hang until it is killed; see trials.ts.
 */
export class Projector {
  readonly #options: ProjectorOptions
  readonly #types: ReadonlySet<string>
  readonly #documents: DocumentCache
  #checkpoint: Checkpoint | undefined
  readonly #atOnce: number
  #tookOver = false
  readonly #blocked: BlockedSequences
  readonly #trials: Trials

  constructor(options: ProjectorOptions) {
    this.#options = options
    this.#atOnce = options.retriesAtOnce ?? 1_000
    this.#types = handledTypes(options.projection)
    this.#documents = new DocumentCache(options.view, options.documentCache)
    this.#blocked = new BlockedSequences(options.view)
    this.#trials = new Trials(options.view, options.projection.name)
  }

  /** The position of the view. May be called while a step is under way, and therefore changes nothing. */
  async position(): Promise<Position> {
    return (this.#checkpoint ?? (await this.#options.view.checkpoint())).position
  }

  /** Applies the next batch of the log, up to a position if one is given. */
  async step(upTo: Position = Number.MAX_SAFE_INTEGER): Promise<StepOutcome> {
    const { log, batchSize, batchBytes, turns, partition } = this.#options
    const committed = this.#options.batchBegins?.()
    const applied = this.#options.applying?.()
    const checkpoint = await this.#state()
    const limit = Math.min(
      batchSize,
      upTo - checkpoint.position,
      this.#trials.unsuspected(checkpoint.position + 1),
    )
    if (limit <= 0) return 'at-head'
    const read = await log.readFrom(checkpoint.position, {
      limit,
      ...(batchBytes !== undefined && { bytes: batchBytes }),
      types: this.#types,
      ...(partition && { partition }),
    })
    if (read.through === checkpoint.position) return 'at-head'
    reached('batch-read', this.#options.projection.name)
    const apply = async () => {
      const { folded, ...change } = await this.#foldPage(read.events)
      const page = folded === read.events.length ? read : firstOf(read, folded)
      reached('batch-folded', this.#options.projection.name)
      const advanceTo = {
        position: page.through,
        processed: checkpoint.processed + page.events.length,
        digest:
          this.#options.digestAfter?.(checkpoint.digest, page) ??
          extendDigest(checkpoint.digest, page.events),
      }
      const outcome = await this.#commit(
        { ...change, expectedRevision: checkpoint.revision, advanceTo },
        'batch-stored',
        ...(change.parked.length > 0 ? ['event-parked' as const] : []),
        ...(change.effects.length > 0 ? ['effect-recorded' as const] : []),
      )
      if (outcome === 'advanced') {
        committed?.(page.events.length)
        applied?.(page.events, change.parked)
      }
      return outcome
    }
    const tried = { from: checkpoint.position + 1, to: read.through }
    return turns.run(() =>
      read.events.length > 0 ? this.#trials.run(tried, checkpoint.revision, apply) : apply(),
    )
  }

  /**
   * Tries parked events that are due, each sequence in order until one fails again. The rest of a long sequence stays
   * due, so that others are not held up.
   *
   * @returns how many events were applied
   */
  async retryDue(): Promise<number> {
    const { view } = this.#options
    const isDue = ({ status, dueAt }: ParkedEvent) => status === 'retrying' && dueAt <= this.#steady()
    let applied = 0
    for (const { position } of await view.dueEvents(this.#steady(), DUE_AT_ONCE)) {
      if (applied < this.#atOnce) applied += await this.#retrySequence(position, isDue)
    }
    return applied
  }

  /**
   * Tries the parked head of a sequence and what waits behind it, due or not, until one fails. A long rest stays due.
   *
   * @returns how many events were applied
   */
  async retry(position: Position): Promise<number> {
    return this.#retrySequence(position, () => true)
  }

  /**
   * Makes the parked head of a sequence due now, and counts its attempts from 0 again.
   *
   * @returns false if the event is not the parked head of a sequence (any more)
   */
  async redrive(position: Position): Promise<boolean> {
    const { revision } = await this.#state()
    const head = await this.#parkedHead(position)
    if (!head) return false
    const due: ParkedEvent = { ...head, status: 'retrying', attempts: 0, dueAt: this.#steady() }
    const change = { ...NOTHING, expectedRevision: revision, parked: [due] }
    const outcome = await this.#commit(change, 'letter-redriven')
    // Another writer was faster, but may have changed something else.
    return outcome === 'advanced' || this.redrive(position)
  }

  /**
   * Gives up the parked head of a sequence; the event that waits behind it is tried next.
   *
   * @returns false if the event is not the parked head of a sequence (any more)
   */
  async discard(position: Position, by: string, reason: string): Promise<boolean> {
    const { revision } = await this.#state()
    const head = await this.#parkedHead(position)
    if (!head) return false
    const at = new Date(this.#options.now()).toISOString()
    const change = { discarded: [{ event: head, by, reason, at }] }
    const settled = await this.#settle(head, change, revision, 'letter-discarded')
    // Another writer was faster, but may have changed something else.
    return settled.kind === 'applied' || this.discard(position, by, reason)
  }

  async #foldPage(events: readonly RecordedEvent[]) {
    const { projection, catalog } = this.#options
    const prepared = events.map((event) => prepare(projection, catalog, event))
    const sequences = prepared.map((ready, index) =>
      sequenceOf(projection, ready, events[index] as RecordedEvent),
    )
    const blocked = await this.#blocked.among(sequences)
    const givenUp = await this.#options.givenUp?.(events.map(({ position }) => position))
    const { documents, events: folded } = await this.#documents.of(keysOf(prepared))
    const changed = new Set<string>()
    const parked: ParkedEvent[] = []
    const effects: NamedEffect[] = []
    const discarded: Discarded[] = []
    for (let index = 0; index < folded; index += 1) {
      const event = events[index] as RecordedEvent
      const ready = prepared[index] as PreparedEvent
      const discard = givenUp?.get(event.position)
      if (discard) {
        discarded.push(discard)
        continue
      }
      const sequence = sequences[index] as string
      if (blocked.has(sequence)) {
        parked.push(parkBehind(event, sequence, this.#options.now()))
        continue
      }
      const outcome = this.#tryOn(event.position, ready, documents, ENDS_THAT_COUNT)
      if (!outcome.ok) {
        blocked.add(sequence)
        this.#blocked.mayBeMore()
        const behind = parkBehind(event, sequence, this.#options.now())
        parked.push(parkFailed(behind, outcome.error, this.#parkingContext()))
        continue
      }
      for (const [key, document] of outcome.changed) {
        documents.set(key, document)
        changed.add(key)
      }
      if (outcome.effects.length > 0)
        effects.push(...nameEffects(projection.name, event, sequence, outcome.effects))
    }
    for (const key of documents.keys()) if (!changed.has(key)) documents.delete(key)
    return { documents, parked, effects, settled: [], discarded, folded }
  }

  /** Runs the handler of an event, unless processes have ended `ends` times while it ran. */
  #tryOn(position: Position, prepared: PreparedEvent, documents: Documents, ends: number): FoldOutcome {
    if (!prepared.ok) return prepared
    if (!this.#trials.isToBlame(position, ends)) return fold(this.#options.projection, prepared, documents)
    return { ok: false, error: new Error('The process ended while this event was applied.') }
  }

  /** Tries the parked head of a sequence, if it still is the head and is wanted, and then the events behind it. */
  async #retrySequence(head: Position, isWanted: (head: ParkedEvent) => boolean): Promise<number> {
    let applied = 0
    for (let position: Position | undefined = head; position && applied < this.#atOnce; applied += 1) {
      const outcome: RetryOutcome = await this.#options.turns.run(() =>
        this.#retryEvent(position as Position, isWanted),
      )
      if (outcome.kind === 'left') return applied
      position = outcome.next
    }
    return applied
  }

  async #retryEvent(position: Position, isWanted: (head: ParkedEvent) => boolean): Promise<RetryOutcome> {
    const { projection, catalog, log } = this.#options
    const { revision } = await this.#state()
    const parked = await this.#parkedHead(position)
    if (!parked || !isWanted(parked)) return { kind: 'left' }
    const discard = (await this.#options.givenUp?.([position]))?.get(position)
    if (discard) return this.#settle(parked, { discarded: [discard] }, revision)
    const { events } = await log.readFrom(parked.position - 1, { limit: 1 })
    const recorded = events[0] as RecordedEvent
    const prepared = prepare(projection, catalog, recorded)
    const applied = this.#options.applying?.()
    const { documents } = await this.#documents.of(keysOf([prepared]))
    return this.#trials.run({ from: position, to: position }, revision, async () => {
      const outcome = this.#tryOn(position, prepared, documents, 1)
      if (!outcome.ok) {
        const again = parkFailed(parked, outcome.error, this.#parkingContext())
        const change = { ...NOTHING, expectedRevision: revision, parked: [again] }
        const stored = await this.#commit(change, again.status === 'dead' ? 'letter-dead' : 'retry-failed')
        if (stored === 'advanced') applied?.([recorded], [again])
        return { kind: 'left' }
      }
      const effects = nameEffects(projection.name, recorded, parked.sequence, outcome.effects)
      const change = { documents: outcome.changed, effects }
      const settled = await this.#settle(parked, change, revision, 'retry-stored')
      if (settled.kind === 'applied') applied?.([recorded], [])
      return settled
    })
  }

  /** Commits that the parked head of a sequence is applied or given up. The event behind it becomes the head. */
  async #settle(
    head: ParkedEvent,
    change: Partial<ViewChange>,
    expectedRevision: number,
    ...boundaries: Boundary[]
  ): Promise<RetryOutcome> {
    const next = await this.#nextInLine(head)
    const settled = { settled: [head.position], parked: next, expectedRevision }
    const committed = await this.#commit({ ...NOTHING, ...change, ...settled }, ...boundaries)
    if (committed === 'superseded') return { kind: 'left' }
    return { kind: 'applied', next: next[0]?.position }
  }

  /** The event right behind a settled one becomes the sequence's head: due at once, in the same commit. */
  async #nextInLine(head: ParkedEvent): Promise<ParkedEvent[]> {
    const [, next] = await this.#options.view.sequence(head.sequence, 2)
    return next ? [{ ...next, status: 'retrying', dueAt: this.#steady() }] : []
  }

  async #parkedHead(position: Position): Promise<ParkedEvent | undefined> {
    const parked = await this.#options.view.parkedEvent(position)
    return parked && parked.status !== 'waiting' ? parked : undefined
  }

  #parkingContext() {
    const { policy, now, random } = this.#options
    return { policy, now: now(), steady: this.#steady(), random }
  }

  #steady(): number {
    return (this.#options.steady ?? this.#options.now)()
  }

  /** @param boundaries reached once the change is stored */
  async #commit(change: ViewChange, ...boundaries: Boundary[]): Promise<StepOutcome> {
    const checkpoint = await this.#state()
    try {
      const outcome = await this.#options.view.commit(change)
      if (outcome.kind === 'superseded') {
        this.#forget()
        return 'superseded'
      }
      for (const boundary of boundaries) reached(boundary, this.#options.projection.name)
      this.#checkpoint = { ...checkpoint, ...change.advanceTo, revision: outcome.revision }
      this.#documents.keep(change.documents)
      return 'advanced'
    } catch (error) {
      this.#forget()
      throw error
    }
  }

  async #state(): Promise<Checkpoint> {
    if (!this.#checkpoint) {
      // The checkpoint is read first: if the rest is newer, the commit is refused and all is read again.
      const checkpoint = await this.#options.view.checkpoint()
      this.#blocked.mayBeMore()
      if (!this.#tookOver) await this.#takeOver()
      this.#checkpoint = checkpoint
    }
    return this.#checkpoint
  }

  /** Looks at what the process before has left: only from its trial can one tell that it ended during one. */
  async #takeOver(): Promise<void> {
    const { view, policy } = this.#options
    // Another process set the due times. If its clock was ahead, they are further away than any delay.
    await view.notDueAfter(this.#steady() + policy.capMs)
    await this.#trials.takeOver()
    this.#tookOver = true
  }

  #forget(): void {
    this.#checkpoint = undefined
    this.#documents.clear()
  }
}

/** `left`: the event is as it was, or failed again, or somebody else was faster. */
type RetryOutcome =
  | { readonly kind: 'applied'; readonly next: Position | undefined }
  | { readonly kind: 'left' }

const NOTHING = { documents: [], parked: [], settled: [], effects: [] }
