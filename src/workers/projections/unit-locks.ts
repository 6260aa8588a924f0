import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { roleLock } from '../../config/paths.ts'
import type { ProjectionUnit } from '../../kernel/unit.ts'
import { isOwned, type OwnerLock, ownerOf, tryOwn } from '../../sqlite/owner-lock.ts'

/**
 * Who may work on a unit.
 *
 * Each unit has a lock, and **at any time, the locks of only one split of a projection are held**: those of its split
 * into 3 parts, or those of its split into 2 parts, never some of both. So whoever works on a unit knows that nobody
 * advances a generation with another split, or sends its effects; and may let another generation take its place.
 *
 * A gate for each projection ensures this. A process that wants the lock of a unit takes the gate first, which only one
 * process can hold, and takes the lock only if no lock of another split is held. Releasing a lock needs no gate. All of
 * these are locks of the operating system: those of a process that dies are free at once, those of a process that is
 * stopped are not.
 */
export type UnitLockOutcome =
  | { readonly kind: 'owned'; readonly lock: OwnerLock }
  /** Somebody works on the unit, or is about to. */
  | { readonly kind: 'taken' }
  /** A process whose code splits the projection differently works on a part of it. */
  | { readonly kind: 'split otherwise'; readonly pid: number | undefined }

/** Tries to take the lock of a unit, without waiting for it. */
export function tryOwnUnit(data: string, unit: ProjectionUnit): UnitLockOutcome {
  const path = unitLock(data, unit)
  if (isOwned(path)) return { kind: 'taken' }
  const gate = tryOwn(roleLock(data, `projections.${unit.projection.name}.gate`))
  if (!gate.held) return { kind: 'taken' }
  try {
    const other = findOtherSplit(data, unit)
    if (other) return { kind: 'split otherwise', pid: other.pid }
    const outcome = tryOwn(path)
    return outcome.held ? { kind: 'owned', lock: outcome.lock } : { kind: 'taken' }
  } finally {
    gate.lock.release()
  }
}

/**
 * The process that works on a part of a unit's projection with code that splits it differently; undefined if there is
 * none.
 */
export function findOtherSplit(
  data: string,
  { projection, partition }: ProjectionUnit,
): { readonly pid: number | undefined } | undefined {
  // A name with an index but no count comes from earlier versions of this program; it may belong to any split.
  const name = new RegExp(`^projections\\.${projection.name}(?:\\.\\d+(?:of(?<count>\\d+))?)?\\.lock$`)
  for (const file of readdirSync(data)) {
    const found = name.exec(file)
    if (!found) continue
    const isWhole = file === `projections.${projection.name}.lock`
    if ((isWhole ? 1 : Number(found.groups?.count)) === partition.count) continue
    const owner = ownerOf(join(data, file))
    if (owner) return owner
  }
  return undefined
}

/**
 * The lock of a seat among the processes whose code splits the projections in the same way. Only those processes can
 * share the units evenly, so only they count.
 *
 * @param seat counted from 0
 */
export function seatLock(data: string, units: readonly ProjectionUnit[], seat: number): string {
  const splits = units.map(({ name, partition }) => `${name}/${partition.count}`).join()
  const digest = createHash('sha256').update(splits).digest('hex').slice(0, 8)
  return roleLock(data, `projections.seats.${digest}-${seat}`)
}

function unitLock(data: string, { projection, partition: { index, count } }: ProjectionUnit): string {
  const part = count === 1 ? '' : `.${index}of${count}`
  return roleLock(data, `projections.${projection.name}${part}`)
}
