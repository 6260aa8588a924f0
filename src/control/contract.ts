import type { Position } from '../kernel/position.ts'
import type { ParityReport } from '../projection/parity.ts'
import type { GenerationState, Purpose } from './machine.ts'

/** How one part of a generation stands, as its builder last said. */
export interface GenerationPart {
  readonly partition: number
  /** What is being done with it: `waiting` for its builder, `folding`, `indexing`, `following`, or `gone`. */
  readonly phase: PartPhase
  readonly position: Position
  /** Where the part has to get to; the head of the log as it was last seen. */
  readonly target: Position
  /** Events per second over the last stretch; 0 when nothing is folded. */
  readonly eventsPerSecond: number
  /** It is at least as far as the same part of the active generation, and stays so; see machine.ts. */
  readonly leading: boolean
  /** Why it cannot go on at the moment; it is tried again. */
  readonly error: string | undefined
  /** ISO 8601. */
  readonly updatedAt: string
}

export type PartPhase = 'waiting' | 'folding' | 'indexing' | 'following' | 'gone'

/** One generation of the view of a projection. */
export interface Generation {
  readonly projection: string
  /** 1 for the first; never used again. */
  readonly generation: number
  /** Version of the fold that made it. */
  readonly version: number
  readonly partitions: number
  readonly state: GenerationState
  readonly purpose: Purpose
  /** Where it ends; only of one that is built to be inspected. */
  readonly until: Position | undefined
  /** It is swapped in only if its documents are those of the active one. */
  readonly requireParity: boolean
  /** It returns though it is behind the active one. */
  readonly forced: boolean
  /** Who asked for it. */
  readonly by: string
  /** ISO 8601. */
  readonly requestedAt: string
  /** When it came into its state, ISO 8601. */
  readonly changedAt: string
  /** Why it failed. */
  readonly error: string | undefined
  /** How it differs from the generation that was active when it was ready. */
  readonly report: ParityReport | undefined
  /** One for each partition, in order. */
  readonly parts: readonly GenerationPart[]
}

/** What is known of a projection. */
export interface ProjectionControl {
  readonly name: string
  /** Nothing is applied and no effect is sent until it is resumed. */
  readonly paused: boolean
  /** How often the active generation was changed. */
  readonly swaps: number
  /** The generation that was active before the last swap. */
  readonly outgoing: number | undefined
  /** For each partition of the active generation that has taken over the effects: of which swap. */
  readonly takenOver: ReadonlyMap<number, number>
  /** By number. */
  readonly generations: readonly Generation[]
}

/** What a generation is to be. */
export interface GenerationRequest {
  readonly projection: string
  readonly version: number
  readonly partitions: number
  readonly purpose: Purpose
  readonly until?: Position | undefined
  readonly requireParity?: boolean
  /** Give up one that is under way for the same purpose, and begin anew. */
  readonly restart?: boolean
  readonly by: string
}

/** `joined`: one for the same purpose is under way already. */
export interface RequestOutcome {
  readonly kind: 'created' | 'joined'
  readonly generation: number
}

/** What a builder says of a part. */
export type PartProgress = Pick<GenerationPart, 'phase' | 'position' | 'target' | 'eventsPerSecond' | 'error'>

/** Why a generation was not made active. */
export type SwapOutcome =
  | { readonly kind: 'swapped' }
  /** Some part does not lead yet, or the effects of the swap before are not taken over everywhere. */
  | { readonly kind: 'not-yet' }
  /** Somebody decided otherwise meanwhile. */
  | { readonly kind: 'refused' }

/**
 * What generations there are, what is wished of them and how far they are: small, synced, and the only place
 * that says which generation is active. Any process may write; each method is one transaction, and each move
 * of a generation happens only from the states that machine.ts allows, so of two who decide at the same
 * moment one is too late and is told so.
 *
 * Every method rejects with a CqrsError (CQRS_STORE_…) if the store fails.
 */
export interface ControlStore {
  /** What is known of a projection; undefined if nothing is. Costs next to nothing while nothing changes. */
  projection(name: string): Promise<ProjectionControl | undefined>
  /** Makes a generation that lies in the data folder already, or the first one, the active one. No-op if the projection is known. */
  adopt(first: { projection: string; generation: number; version: number; partitions: number }): Promise<void>
  request(request: GenerationRequest): Promise<RequestOutcome>
  /** Notes how a part stands. */
  progress(projection: string, generation: number, partition: number, progress: PartProgress): Promise<void>
  /**
   * A part is as far as the same streams of the active generation `beside`, and stays so. No-op if that is not
   * active any more, the part is not `following`, or its generation is not to take that one's place (any more).
   */
  lead(projection: string, generation: number, partition: number, beside: number): Promise<void>
  /**
   * Parts of a generation that is to take the active one's place are passed by that one; it is not swapped in from now on,
   * until they lead again. Those of one that is being made have to be built further. No-op for any other generation.
   */
  fallBehind(projection: string, generation: number, partitions: readonly number[]): Promise<void>
  /**
   * Moves a generation to another state. `ready` needs all its parts to lead, `side` all to be at its end,
   * and `pruning` that every part of the active generation has taken over what this one leaves. In `previous` no part leads. One
   * that is `returning` already can be moved there again, if that is `forced` now.
   *
   * @returns false if it is in no state from which it may be moved there
   */
  move(
    projection: string,
    generation: number,
    to: Exclude<GenerationState, 'active'>,
    options?: { error?: string; forced?: boolean },
  ): Promise<boolean>
  /** Notes the comparison with the active generation `beside`. No-op if that is not active, or the other one not `ready`, any more. */
  report(projection: string, generation: number, report: ParityReport, beside: number): Promise<void>
  /**
   * Makes a generation the active one, all its parts at once. Others that are `ready` are `building` again, without a report:
   * they have to lead, and be compared, beside this one. One that was to return does not any more, and its error says so.
   */
  swap(projection: string, generation: number): Promise<SwapOutcome>
  /** A partition of the active generation has taken over the effects that the one before owed. */
  tookOver(projection: string, partition: number, swap: number): Promise<void>
  /** A part's files are removed; the generation is forgotten with its last part. */
  gone(projection: string, generation: number, partition: number): Promise<void>
  pause(projection: string, paused: boolean): Promise<void>
  close(): Promise<void>
}
