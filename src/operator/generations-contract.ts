import type { PartPhase } from '../control/contract.ts'
import type { GenerationState, Purpose } from '../control/machine.ts'
import type { Position } from '../kernel/position.ts'
import type { FindOptions, Page } from '../kernel/query.ts'
import type { ParityReport, ParityVerdict } from '../projection/parity.ts'

/** What `ops::rebuild` takes. */
export interface RebuildRequest {
  readonly projection: string
  /** Cancel the rebuild that is under way and start a new one. */
  readonly force?: boolean
  /** Build a generation for inspection only, up to a position or a time (ISO 8601). */
  readonly until?: Position | string
  /** Swap only if every document is the same as in the generation that serves. */
  readonly requireParity?: boolean
}

/** What `ops::rebuild` and `ops::verify` answer. */
export interface RebuildStarted {
  readonly projection: string
  readonly generation: number
  /** The request joined a build that was already under way; this is that one. */
  readonly joined: boolean
  /** The last position that is built in, if it is for inspection. */
  readonly until: Position | undefined
}

/** What `ops::verify`, `ops::rebuild-cancel`, `ops::projections-show`, `ops::pause` and `ops::resume` take. */
export interface ProjectionRequest {
  readonly projection: string
}

/** What `ops::rollback` takes. */
export interface RollbackRequest extends ProjectionRequest {
  /** Return to a generation of another version. It may be behind, so that readers see positions go back. */
  readonly force?: boolean
}

/** What `ops::prune` takes. */
export interface PruneRequest {
  /** All if left out. */
  readonly projection?: string
  /** Only this one. */
  readonly generation?: number
  /** Keep the generation that a rollback would return to. */
  readonly keepPrevious?: boolean
}

/** The generations that an operation changed. */
export interface GenerationsChanged {
  readonly generations: readonly { readonly projection: string; readonly generation: number }[]
}

/** What `ops::projections` answers. */
export interface ProjectionsList {
  readonly head: Position
  readonly projections: readonly ProjectionDetails[]
}

/** A projection with its generations. */
export interface ProjectionDetails {
  readonly name: string
  readonly kind: 'projection' | 'reactor'
  /** The version that the app defines. */
  readonly version: number
  readonly partitions: number
  readonly paused: boolean
  /** Number of the generation that serves. */
  readonly active: number
  /**
   * The generation that serves has another version, or other partitions, than the app defines. It stands still until a
   * rebuild replaces it.
   */
  readonly frozen: boolean
  readonly generations: readonly GenerationDetails[]
}

/** How far a generation is. */
export interface GenerationProgress {
  /** The phase of the part that is least advanced. */
  readonly phase: PartPhase
  /** Of the part that is least advanced. If the view cannot be read: what its builder reported last. */
  readonly position: Position
  /** The position it has to reach, or had to reach when it was built; 0 if it was never built beside another one. */
  readonly target: Position
  /** Sum over all parts. */
  readonly eventsPerSecond: number
  /** Time to reach `target` at this speed; null if that is not known. */
  readonly secondsLeft: number | null
}

export interface GenerationDetails extends GenerationProgress {
  readonly generation: number
  readonly version: number
  readonly partitions: number
  readonly state: GenerationState
  readonly purpose: Purpose
  /** Why it failed, or cannot go on at the moment. */
  readonly error: string | null
  /** Size on disk. */
  readonly bytes: number
  /** How it compared, when it was ready, with the generation that served then. */
  readonly report: ParityReport | null
  /** The conclusion of the report; absent without one. */
  readonly verdict?: ParityVerdict
  readonly by: string
  /** ISO 8601. */
  readonly requestedAt: string
  /** When it entered its present state, ISO 8601. */
  readonly changedAt: string
}

/** What `ops::view` takes: a document of a generation by its key, or a page of documents. */
export interface ViewRequest extends Partial<FindOptions> {
  readonly projection: string
  /** The active one if left out. */
  readonly generation?: number
  readonly key?: string
}

/** What `ops::view` answers. */
export interface ViewAnswer extends Page<unknown> {
  readonly generation: number
  readonly position: Position
}
