import type { PartPhase } from '../control/contract.ts'
import type { GenerationState, Purpose } from '../control/machine.ts'
import type { Position } from '../kernel/position.ts'
import type { FindOptions, Page } from '../kernel/query.ts'
import type { ParityReport, ParityVerdict } from '../projection/parity.ts'

/** What `ops::rebuild` takes. */
export interface RebuildRequest {
  readonly projection: string
  /** Give up a rebuild that is under way, and begin anew. */
  readonly force?: boolean
  /** Build a generation for inspection only, up to a position or a time (ISO 8601). */
  readonly until?: Position | string
  /** Swap only if every document is the same as before. */
  readonly requireParity?: boolean
}

/** What `ops::rebuild` and `ops::verify` answer. */
export interface RebuildStarted {
  readonly projection: string
  readonly generation: number
  /** One was under way already; this is that one. */
  readonly joined: boolean
  /** Where it ends, if it is for inspection. */
  readonly until: Position | undefined
}

/** What `ops::verify`, `ops::rebuild-cancel`, `ops::projections-show`, `ops::pause` and `ops::resume` take. */
export interface ProjectionRequest {
  readonly projection: string
}

/** What `ops::rollback` takes. */
export interface RollbackRequest extends ProjectionRequest {
  /** Return to a generation of another version, which may be behind: positions go back. */
  readonly force?: boolean
}

/** What `ops::prune` takes. */
export interface PruneRequest {
  /** All if left out. */
  readonly projection?: string
  /** Only this one. */
  readonly generation?: number
  /** Leave the generation that a rollback would return to. */
  readonly keepPrevious?: boolean
}

/** The generations that an operation concerns. */
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
  /** Of the app. */
  readonly version: number
  readonly partitions: number
  readonly paused: boolean
  /** Number of the generation that serves. */
  readonly active: number
  /**
   * The generation that serves is of another version, or split otherwise, than the app says: it is not moved
   * until a rebuild takes its place.
   */
  readonly frozen: boolean
  readonly generations: readonly GenerationDetails[]
}

/** How far a generation is. */
export interface GenerationProgress {
  /** What is done with it: that of the part that is least far. */
  readonly phase: PartPhase
  /** Of the part that is least far; as its builder last said, if it cannot be read. */
  readonly position: Position
  /** Where it has to get to, or had to when it was built; 0 if it was never built beside another one. */
  readonly target: Position
  /** All parts together. */
  readonly eventsPerSecond: number
  /** Until it is there at this speed; null if that cannot be said. */
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
  /** On the disk. */
  readonly bytes: number
  /** How it compares with the one that served when it was ready. */
  readonly report: ParityReport | null
  /** What the report comes to; absent without one. */
  readonly verdict?: ParityVerdict
  readonly by: string
  /** ISO 8601. */
  readonly requestedAt: string
  /** When it came into its state, ISO 8601. */
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
