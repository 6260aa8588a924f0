import type { App } from './app.ts'
import { CqrsError } from './errors.ts'
import type { Partition } from './partition.ts'
import type { ProjectionDefinition } from './projection.ts'

/**
 * What one worker at a time keeps up to date: a whole projection, or one partition of it. Each unit has its own
 * checkpoint, queue, function and set of parked events.
 */
export interface ProjectionUnit {
  /** The projection's name, followed by `.<index>` if it is split; also the name of its queue. */
  readonly name: string
  readonly projection: ProjectionDefinition
  readonly partition: Partition
  /** The function on the engine that applies events, e.g. `proj::inventory-list.0`. */
  readonly functionId: string
}

/** The units of a projection, in order of their index. */
export function unitsOf(projection: ProjectionDefinition): readonly ProjectionUnit[] {
  const { name, functionId, partitions: count } = projection
  return Array.from({ length: count }, (_, index) => {
    const suffix = count === 1 ? '' : `.${index}`
    return { name: name + suffix, projection, partition: { index, count }, functionId: functionId + suffix }
  })
}

/** The units of all projections of an app. */
export function allUnits({ projections }: App): readonly ProjectionUnit[] {
  return [...projections.values()].flatMap(unitsOf)
}

/** @throws CqrsError CQRS_UNKNOWN_PROJECTION if there is none; the message lists those that exist */
export function findUnit(app: App, name: string): ProjectionUnit {
  const units = allUnits(app)
  const found = units.find((unit) => unit.name === name)
  if (found) return found
  const known = units.map((unit) => unit.name).join(', ')
  throw new CqrsError('CQRS_UNKNOWN_PROJECTION', `There is no projection ${name}; there are: ${known}.`)
}

/** The name of the projection that a unit, given by its name, is or is a partition of. */
export function projectionOf(unit: string): string {
  return unit.replace(/\.\d+$/, '')
}

/**
 * Whether `name` refers to the unit: it is the unit's own name, or that of the projection that the unit is a partition
 * of.
 */
export function isMeant(name: string, unit: string): boolean {
  return unit === name || projectionOf(unit) === name
}
