import { fits } from '../generations/place.ts'
import type { ViewReaders } from '../generations/view-readers.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import type { DigestMark } from '../projection/audit.ts'
import type { ViewStanding } from '../projection/contract.ts'

/** How the part of the active generation stands that holds a unit's streams; if it is split otherwise, all of it. */
export function standingOf(
  views: ViewReaders,
  { projection, partition }: ProjectionUnit,
): Promise<ViewStanding> {
  return views.use(projection.name, async ({ generation, parts }) => {
    const [own] = generation.partitions === partition.count ? [parts[partition.index]] : []
    const standings = await Promise.all((own ? [own] : parts).map((part) => part.standing()))
    return standings.reduce((sum, one) => ({
      position: Math.min(sum.position, one.position),
      parked: {
        retrying: sum.parked.retrying + one.parked.retrying,
        dead: sum.parked.dead + one.parked.dead,
        waiting: sum.parked.waiting + one.parked.waiting,
      },
      effects: {
        pending: sum.effects.pending + one.effects.pending,
        dead: sum.effects.dead + one.effects.dead,
      },
    }))
  })
}

/**
 * Marks of the digest of a unit's part of the active generation.
 *
 * @throws CqrsError CQRS_VIEW_BEHIND if that is of another version: its digest is over other events
 */
export function marksOf(
  views: ViewReaders,
  { name, projection, partition }: ProjectionUnit,
  after: number,
): Promise<readonly DigestMark[]> {
  return views.use(projection.name, async ({ generation, parts }) => {
    const part = parts[partition.index]
    if (part && fits(generation, projection)) return part.marks(after)
    throw new CqrsError(
      'CQRS_VIEW_BEHIND',
      `The view ${name} is served in another version than the app defines; audit it when its rebuild is done.`,
    )
  })
}
