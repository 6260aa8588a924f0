import type { Position } from '../kernel/position.ts'
import type { ParityReport } from '../projection/parity.ts'
import type { GenerationState, Purpose } from './machine.ts'

/** The state of one part (partition) of a generation, as its builder last reported it. */
export interface GenerationPart {
  readonly partition: number
  /** What is happening to it: `waiting` for its builder, `folding`, `indexing`, `following`, or `gone`. */
  readonly phase: PartPhase
  readonly position: Position
  /** The position that the part has to reach; the head of the log when it was last read. */
  readonly target: Position
  /** Events per second, measured recently; 0 when nothing is folded. */
  readonly eventsPerSecond: number
  /** Whether it is at least as far as the same part of the active generation, and will stay so; see machine.ts. */
  readonly leading: boolean
  /** Why it cannot continue at the moment; it is tried again. */
  readonly error: string | undefined
  /** ISO 8601. */
  readonly updatedAt: string
}

export type PartPhase = 'waiting' | 'folding' | 'indexing' | 'following' | 'gone'

/** One generation of a projection's view. */
export interface Generation {
  readonly projection: string
  /** 1 for the first; a number is never used again. */
  readonly generation: number
  /** Version of the fold that built it. */
  readonly version: number
  readonly partitions: number
  readonly state: GenerationState
  readonly purpose: Purpose
  /** The position at which it ends; only for one that is built to be inspected. */
  readonly until: Position | undefined
  /** Whether it is swapped in only if its documents equal those of the active generation. */
  readonly requireParity: boolean
  /** Whether it becomes active again even though it is behind the active generation. */
  readonly forced: boolean
  /** Who asked for it. */
  readonly by: string
  /** ISO 8601. */
  readonly requestedAt: string
  /** When it entered its state, ISO 8601. */
  readonly changedAt: string
  /** Why it failed. */
  readonly error: string | undefined
  /** How it differs from the generation that was active when this one was compared. */
  readonly report: ParityReport | undefined
  /** One for each partition, in order. */
  readonly parts: readonly GenerationPart[]
}

/** What is known about a projection. */
export interface ProjectionControl {
  readonly name: string
  /** If true, nothing is applied and no effect is sent until it is resumed. */
  readonly paused: boolean
  /** How often the active generation was replaced. */
  readonly swaps: number
  /** The generation that was active before the last swap. */
  readonly outgoing: number | undefined
  /**
   * For each partition of the active generation that has taken over the effects: the number of the swap it did so for.
   */
  readonly takenOver: ReadonlyMap<number, number>
  /** Ordered by number. */
  readonly generations: readonly Generation[]
}

/** The generation that serves; undefined if nothing is known of the projection. */
export function activeOf(known: Pick<ProjectionControl, 'generations'> | undefined): Generation | undefined {
  return known?.generations.find(({ state }) => state === 'active')
}

/** A request to build a generation. */
export interface GenerationRequest {
  readonly projection: string
  readonly version: number
  readonly partitions: number
  readonly purpose: Purpose
  readonly until?: Position | undefined
  readonly requireParity?: boolean
  /** If one is in progress for the same purpose, cancel it and start again. */
  readonly restart?: boolean
  readonly by: string
}

/** `joined`: one for the same purpose is in progress already. */
export interface RequestOutcome {
  readonly kind: 'created' | 'joined'
  readonly generation: number
}

/** What a builder reports about a part. */
export type PartProgress = Pick<GenerationPart, 'phase' | 'position' | 'target' | 'eventsPerSecond' | 'error'>

/** Whether a generation was made active, and if not, why. */
export type SwapOutcome =
  | { readonly kind: 'swapped' }
  /** Some part does not lead yet, or the effects of the previous swap are not taken over everywhere. */
  | { readonly kind: 'not-yet' }
  /** Its state has changed meanwhile, so that it can no longer become active. */
  | { readonly kind: 'refused' }

/**
 * Which generations there are, what was requested for them, and how far they are. The store is small and synced, and
 * the only place that says which generation is active. Any process may write to it. Each method is one transaction, and
 * a generation is moved only from the states that machine.ts allows. So if two processes decide at the same moment, one
 * is too late and is told so.
 *
 * Every method rejects with a CqrsError (CQRS_STORE_…) if the store fails.
 */
export interface ControlStore {
  /** What is known about a projection; undefined if nothing is. Costs almost nothing while nothing changes. */
  projection(name: string): Promise<ProjectionControl | undefined>
  /**
   * Makes a generation active: one that is already in the data folder, or the first one. No-op if the projection is
   * known.
   */
  adopt(first: { projection: string; generation: number; version: number; partitions: number }): Promise<void>
  request(request: GenerationRequest): Promise<RequestOutcome>
  /** Stores the progress of a part. */
  progress(projection: string, generation: number, partition: number, progress: PartProgress): Promise<void>
  /**
   * Notes that a part is as far as the same streams of the active generation `beside`, and will stay so. No-op if
   * `beside` is no longer active, if the part is not `following`, or if its generation is not (or no longer) meant to
   * take the place of `beside`.
   */
  lead(projection: string, generation: number, partition: number, beside: number): Promise<void>
  /**
   * Notes that the active generation gets ahead of some parts of a generation that is to take its place. That
   * generation is not swapped in until these parts lead again. If it is being built, they also have to be built
   * further. No-op for any other generation.
   */
  fallBehind(projection: string, generation: number, partitions: readonly number[]): Promise<void>
  /**
   * Moves a generation to another state. `ready` requires that all its parts lead, `side` that all are at its end, and
   * `pruning` that every part of the active generation has taken over the effects that this one leaves. In `previous`
   * no part leads. A generation that is already `returning` can be moved there again if it is now `forced`.
   *
   * @returns false if its present state does not allow the move
   */
  move(
    projection: string,
    generation: number,
    to: Exclude<GenerationState, 'active'>,
    options?: { error?: string; forced?: boolean },
  ): Promise<boolean>
  /**
   * Stores the comparison with the active generation `beside`. No-op if `beside` is no longer active, or if the
   * compared generation is no longer `ready`.
   */
  report(projection: string, generation: number, report: ParityReport, beside: number): Promise<void>
  /**
   * Makes a generation active, with all its parts at once. Other generations that are `ready` go back to `building` and
   * lose their report, because they must lead, and be compared with, the new one. One that was `returning` no longer
   * does, and its `error` says so.
   */
  swap(projection: string, generation: number): Promise<SwapOutcome>
  /**
   * Notes that a partition of the active generation has taken over the effects that the previous one still had to send.
   */
  tookOver(projection: string, partition: number, swap: number): Promise<void>
  /**
   * Notes that a part's files are removed. The generation is forgotten with its last part; if it is `verified`, its
   * report stays until it is pruned.
   */
  gone(projection: string, generation: number, partition: number): Promise<void>
  pause(projection: string, paused: boolean): Promise<void>
  /**
   * Notes which code works on a version of a projection.
   *
   * @param fold identifies the code
   * @returns `changed` if other code did so last; a version that nobody has noted yet is `same`
   */
  noteFold(projection: string, version: number, fold: string): Promise<'same' | 'changed'>
  close(): Promise<void>
}
