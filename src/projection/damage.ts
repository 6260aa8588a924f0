import { isCqrsError } from '../kernel/errors.ts'

/** A file of a view holds what was not written there. */
export interface ViewDamage {
  readonly file: string
  /** What is wrong with it, without what to do. */
  readonly reason: string
}

/**
 * The damage of a view, if that is what `error` tells of: trying again helps nobody, and all but that view can go on.
 * Undefined if it is something else, such as damage of the log.
 */
export function damageOf(error: unknown): ViewDamage | undefined {
  if (!isCqrsError(error, 'CQRS_STORE_CORRUPT', 'CQRS_STORE_FOREIGN')) return undefined
  const { file, reason } = error.details
  return typeof file === 'string' && typeof reason === 'string' ? { file, reason } : undefined
}

/** What `work` gives, or the damage that it met. */
export type Attempt<Result> =
  | { readonly damage?: undefined; readonly error?: undefined; readonly result: Result }
  | { readonly damage: ViewDamage; readonly error: Error; readonly result?: undefined }

/** Does something with a view that may be damaged. Rejects if anything else is wrong. */
export async function unlessDamaged<Result>(work: () => Result | Promise<Result>): Promise<Attempt<Result>> {
  try {
    return { result: await work() }
  } catch (error) {
    const damage = damageOf(error)
    if (!damage) throw error
    return { damage, error: error as Error }
  }
}

/**
 * Reads what a generation leaves to the one that takes its place. If that cannot be read it is what the other one is built
 * for, and nothing is left; but a reactor leaves effects, which would be lost without a word.
 *
 * @throws CqrsError CQRS_STORE_CORRUPT if a reactor's cannot be read
 */
export async function readLegacy<Result, Otherwise>(
  kind: 'projection' | 'reactor',
  read: () => Result | Promise<Result>,
  otherwise: Otherwise,
): Promise<Result | Otherwise> {
  const { damage, error, result } = await unlessDamaged(read)
  if (damage && kind === 'reactor') throw error
  return damage ? otherwise : result
}
