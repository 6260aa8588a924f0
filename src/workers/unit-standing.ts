import type { ControlStore } from '../control/contract.ts'
import { hasTakenOver } from '../generations/handover.ts'
import { fits } from '../generations/place.ts'
import type { ViewReaders } from '../generations/view-readers.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import type { DigestMark } from '../projection/audit.ts'
import type { ViewStanding } from '../projection/contract.ts'

/**
 * How the part of the active generation stands that holds a unit's streams; if it is split otherwise, all of it. Until it has taken
 * over what the generation before it owed, the effects are those that lie there.
 */
export async function standingOf(
  views: ViewReaders,
  control: ControlStore,
  { projection, partition }: ProjectionUnit,
): Promise<ViewStanding> {
  const standingIn = (generation?: number) =>
    views.use(
      projection.name,
      async ({ generation: { partitions }, parts }) => {
        const [own] = partitions === partition.count ? [parts[partition.index]] : []
        const standings = await Promise.all((own ? [own] : parts).map((part) => part.standing()))
        return standings.reduce(added)
      },
      generation,
    )
  const state = await control.projection(projection.name)
  const before = state && !hasTakenOver(state, partition.index) ? state.outgoing : undefined
  // One that cannot be read is said to be damaged where that matters.
  const owing = before === undefined ? undefined : await standingIn(before).catch(() => undefined)
  const standing = await standingIn()
  return owing ? { ...standing, effects: owing.effects } : standing
}

function added(one: ViewStanding, other: ViewStanding): ViewStanding {
  return {
    position: Math.min(one.position, other.position),
    parked: {
      retrying: one.parked.retrying + other.parked.retrying,
      dead: one.parked.dead + other.parked.dead,
      waiting: one.parked.waiting + other.parked.waiting,
    },
    effects: {
      pending: one.effects.pending + other.effects.pending,
      dead: one.effects.dead + other.effects.dead,
    },
  }
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
