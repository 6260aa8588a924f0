import type { ControlStore } from '../../control/contract.ts'
import { hasTakenOver } from '../../generations/handover.ts'
import { fits } from '../../generations/place.ts'
import type { ViewReaders } from '../../generations/view-readers.ts'
import { CqrsError } from '../../kernel/errors.ts'
import type { ProjectionUnit } from '../../kernel/unit.ts'
import type { DigestMark } from '../../projection/audit.ts'
import type { ReadableView, ViewStanding } from '../../projection/contract.ts'

/**
 * The state of the active generation's part that holds a unit's streams. Until that part has taken over what the
 * previous generation owed, the effects are those of the previous generation.
 *
 * If a generation is split differently, none of its parts belongs to the unit. The position is then the lowest of all
 * its parts, and the counts of its parts are divided among the units that look at it, so that all of them together
 * count each part once.
 */
export async function standingOf(
  views: ViewReaders,
  control: ControlStore,
  { projection, partition }: ProjectionUnit,
): Promise<ViewStanding> {
  /** @param sharing the partitions of the units that look at the generation */
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
  // A previous generation that cannot be read is reported as damaged where that matters.
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
 * @throws CqrsError CQRS_VIEW_BEHIND if the generation is of another version or split, so that its digests cover other
 *   events
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
      `The active version of the view ${name} is not the one that the app defines; audit it when its rebuild is done.`,
    )
  })
}
