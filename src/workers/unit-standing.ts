import type { ControlStore } from '../control/contract.ts'
import { hasTakenOver } from '../generations/handover.ts'
import { fits } from '../generations/place.ts'
import type { ViewReaders } from '../generations/view-readers.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import type { DigestMark } from '../projection/audit.ts'
import type { ReadableView, ViewStanding } from '../projection/contract.ts'

/**
 * How the part of the active generation stands that holds a unit's streams. Until it has taken over what the generation before
 * it owed, the effects are those that lie there. Of a generation that is split otherwise no part is the unit's: it is as far as
 * all of them, and what lies there is shared out among the units that look at it, so that all together count it once.
 */
export async function standingOf(
  views: ViewReaders,
  control: ControlStore,
  { projection, partition }: ProjectionUnit,
): Promise<ViewStanding> {
  /** @param sharing partitions of the units that look at it */
  const standingIn = (sharing: readonly number[], generation?: number) =>
    views.use(
      projection.name,
      async ({ generation: { partitions }, parts }) => {
        const own = partitions === partition.count ? parts[partition.index] : undefined
        if (own) return own.standing()
        const rank = sharing.indexOf(partition.index)
        const standings = await Promise.all(parts.map((part) => part.standing()))
        const position = Math.min(...standings.map((standing) => standing.position))
        const shared = standings.filter((_, index) => index % sharing.length === rank)
        return { ...shared.reduce(added, NOTHING), position }
      },
      generation,
    )
  const state = await control.projection(projection.name)
  const all = Array.from({ length: partition.count }, (_, index) => index)
  const waiting = state ? all.filter((index) => !hasTakenOver(state, index)) : []
  const before = waiting.includes(partition.index) ? state?.outgoing : undefined
  // One that cannot be read is said to be damaged where that matters.
  const owing = before === undefined ? undefined : await standingIn(waiting, before).catch(() => undefined)
  const standing = await standingIn(all)
  return owing ? { ...standing, effects: owing.effects } : standing
}

type Lying = Omit<ViewStanding, 'position'>

const NOTHING: Lying = {
  parked: { retrying: 0, dead: 0, waiting: 0 },
  effects: { pending: 0, dead: 0 },
}

function added(one: Lying, other: Lying): Lying {
  return {
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
 * Marks of the digest of a unit's part of the active generation; see {@link ReadableView.marks}.
 *
 * @throws CqrsError CQRS_VIEW_BEHIND if that is of another version: its digest is over other events
 */
export function marksOf(
  views: ViewReaders,
  { name, projection, partition }: ProjectionUnit,
  after: number,
  through: number,
): Promise<readonly DigestMark[]> {
  return views.use(projection.name, async ({ generation, parts }) => {
    const part = parts[partition.index]
    if (part && fits(generation, projection)) return part.marks(after, through)
    throw new CqrsError(
      'CQRS_VIEW_BEHIND',
      `The view ${name} is served in another version than the app defines; audit it when its rebuild is done.`,
    )
  })
}
