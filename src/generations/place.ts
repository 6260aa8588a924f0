import type { Generation } from '../control/contract.ts'
import type { Partition } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'
import type { ProjectionDefinition } from '../kernel/projection.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import type { ViewStore } from '../projection/contract.ts'
import type { ViewDamage } from '../projection/damage.ts'

/** One part of one generation of a view. */
export interface Place {
  readonly projection: ProjectionDefinition
  readonly generation: number
  /** The version of the fold that made it, or is to make it. */
  readonly version: number
  readonly partition: Partition
}

/** Where parts of views are stored. Each part is written by the process that owns its unit. */
export interface ViewStorage {
  /**
   * Opens a part. A missing one is created or, with `mustExist`, counts as damaged.
   *
   * @throws CqrsError CQRS_STORE_…; for a damaged part see ../projection/damage.ts
   */
  open(place: Place, options?: { readonly mustExist?: boolean }): ViewStore
  /** The file of a part, by the name that {@link ViewDamage} has for it. */
  file(place: Place): string
  /** Removes a part for good. No-op if there is none. */
  remove(place: Place): Promise<void>
}

/** A part that is being built from the log, somewhere beside the live views. */
export interface Build {
  /** Ends it; what was committed stays, and another build goes on from there. */
  stop(): Promise<void>
}

/** What is to be built. */
export interface BuildOrder {
  readonly place: Place
  /**
   * Where the build ends: at a position; at the position of `owing`, which nobody advances; or near the head of the
   * log.
   */
  readonly until: Position | 'owing' | 'head'
  /** The part, or all parts, of the active generation: what operators gave up there is not applied. */
  readonly owing: readonly Place[]
  /**
   * Whether the part is to take over the effects that `owing` owes. If not, its own effects do not matter, nor does it
   * matter whether what `owing` owes can be read.
   */
  readonly takesOver: boolean
}

export interface BuildEvents {
  onProgress(progress: BuildProgress): void
  /** The part has reached its end, and is closed. */
  onDone(position: Position): void
  /** The build can never go on: its own file is damaged, or that of a part whose effects it is to take over. */
  onDamage(damage: ViewDamage): void
}

export interface BuildProgress {
  readonly phase: 'folding' | 'indexing'
  readonly position: Position
  readonly target: Position
  readonly eventsPerSecond: number
  readonly error: string | undefined
}

export type StartBuild = (order: BuildOrder, events: BuildEvents) => Build

/** Whether the code at hand can fold a generation: it has the same version, and as many partitions. */
export function fits(
  generation: Generation,
  { version, partitions }: Pick<ProjectionDefinition, 'version' | 'partitions'>,
): boolean {
  return generation.version === version && generation.partitions === partitions
}

/** The place of a unit's part of a generation. */
export function placeOf({ projection, partition }: ProjectionUnit, generation: Generation): Place {
  return { projection, generation: generation.generation, version: generation.version, partition }
}

/** The places of a generation's parts, in order. */
export function placesOf(
  { generation, version, partitions: count }: Generation,
  projection: ProjectionDefinition,
): Place[] {
  return Array.from({ length: count }, (_, index) => ({
    projection,
    generation,
    version,
    partition: { index, count },
  }))
}

/**
 * The place of the part that has the same streams (`aligned`) or, if the generation is split differently, of all its
 * parts.
 */
export function placesOfStreams(
  generation: Generation,
  projection: ProjectionDefinition,
  partition: Partition,
): { places: Place[]; aligned: boolean } {
  const places = placesOf(generation, projection)
  const aligned = generation.partitions === partition.count
  return { places: aligned ? [places[partition.index] as Place] : places, aligned }
}
