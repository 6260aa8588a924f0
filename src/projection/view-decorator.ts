import type {
  Checkpoint,
  CommitOutcome,
  Discarded,
  EffectPlace,
  ParkedCounts,
  ParkedEvent,
  PlacedDiscard,
  PlacedEffect,
  RecordedEffect,
  Redriven,
  TakeOverStep,
  Trial,
  ViewChange,
  ViewStore,
} from './contract.ts'
import type { Duty } from './duty.ts'

/** A view that passes every call on to another one; subclasses override what differs. */
export abstract class ViewDecorator implements ViewStore {
  readonly #view: ViewStore | undefined

  /** @param view left out by a subclass that overrides the getter `view` */
  constructor(view?: ViewStore) {
    this.#view = view
  }

  protected get view(): ViewStore {
    return this.#view as ViewStore
  }

  checkpoint(): Promise<Checkpoint> {
    return this.view.checkpoint()
  }
  load(keys: Iterable<string>): Promise<Map<string, unknown>> {
    return this.view.load(keys)
  }
  commit(change: ViewChange): Promise<CommitOutcome> {
    return this.view.commit(change)
  }
  beginTrial(trial: Trial, revision: number): Promise<void> {
    return this.view.beginTrial(trial, revision)
  }
  endTrial(revision: number): Promise<void> {
    return this.view.endTrial(revision)
  }
  trial(): Promise<Trial | undefined> {
    return this.view.trial()
  }
  hasParked(): Promise<boolean> {
    return this.view.hasParked()
  }
  parkedSequences(among: Iterable<string>): Promise<Set<string>> {
    return this.view.parkedSequences(among)
  }
  dueEvents(now: number, limit: number): Promise<ParkedEvent[]> {
    return this.view.dueEvents(now, limit)
  }
  notDueAfter(latest: number): Promise<void> {
    return this.view.notDueAfter(latest)
  }
  nextDueAt(): Promise<number | undefined> {
    return this.view.nextDueAt()
  }
  sequence(sequence: string, limit: number): Promise<ParkedEvent[]> {
    return this.view.sequence(sequence, limit)
  }
  letters(options: { after: number; limit: number }): Promise<{ event: ParkedEvent; waiting: number }[]> {
    return this.view.letters(options)
  }
  parkedEvent(position: number): Promise<ParkedEvent | undefined> {
    return this.view.parkedEvent(position)
  }
  parkedCounts(): Promise<ParkedCounts> {
    return this.view.parkedCounts()
  }
  pendingEffects(limit: number, maxBytes?: number): Promise<RecordedEffect[]> {
    return this.view.pendingEffects(limit, maxBytes)
  }
  effectsBefore(place: number | undefined, limit: number, maxBytes: number): Promise<PlacedEffect[]> {
    return this.view.effectsBefore(place, limit, maxBytes)
  }
  assertNoMoreEffectsThan(count: number): Promise<void> {
    return this.view.assertNoMoreEffectsThan(count)
  }
  effectsSent(idempotencyKeys: readonly string[]): Promise<void> {
    return this.view.effectsSent(idempotencyKeys)
  }
  effectStopped(key: string, times: number): Promise<void> {
    return this.view.effectStopped(key, times)
  }
  effectFailed(key: string, failure: { attempts: number; error: string; at: string }): Promise<void> {
    return this.view.effectFailed(key, failure)
  }
  deadEffects(...which: Parameters<ViewStore['deadEffects']>): Promise<RecordedEffect[]> {
    return this.view.deadEffects(...which)
  }
  redriveEffects(idempotencyKey?: string, after?: EffectPlace): Promise<Redriven> {
    return this.view.redriveEffects(idempotencyKey, after)
  }
  discardEffect(key: string, discard: { by: string; reason: string; at: string }): Promise<boolean> {
    return this.view.discardEffect(key, discard)
  }
  discardedAmong(positions: readonly number[]): Promise<Discarded[]> {
    return this.view.discardedAmong(positions)
  }
  discardedAfter(place: number, limit: number, maxBytes?: number): Promise<PlacedDiscard[]> {
    return this.view.discardedAfter(place, limit, maxBytes)
  }
  duty(among: readonly number[]): Promise<Duty> {
    return this.view.duty(among)
  }
  parkedAfter(position: number, limit: number): Promise<number[]> {
    return this.view.parkedAfter(position, limit)
  }
  withheldAfter(position: number, limit: number, maxBytes?: number): Promise<number[]> {
    return this.view.withheldAfter(position, limit, maxBytes)
  }
  dropWithheld(positions: readonly number[]): Promise<void> {
    return this.view.dropWithheld(positions)
  }
  takeOver(step: TakeOverStep, expectedRevision: number): Promise<boolean> {
    return this.view.takeOver(step, expectedRevision)
  }
  tookOver(): Promise<number> {
    return this.view.tookOver()
  }
  isReplaced(): boolean {
    return this.view.isReplaced()
  }
  close(): Promise<void> {
    return this.view.close()
  }
}
