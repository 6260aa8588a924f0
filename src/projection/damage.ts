import { isCqrsError } from '../kernel/errors.ts'

/** A damaged file of a view: it holds something that was not written there. */
export interface ViewDamage {
  readonly file: string
  /** What is wrong with it, without advice. */
  readonly reason: string
}

/**
 * The damage of a view, if `error` reports one. Trying again does not help then, but everything except that view can go
 * on. Undefined if the error is another one, such as damage to the log.
 */
export function damageOf(error: unknown): ViewDamage | undefined {
  if (!isCqrsError(error, 'CQRS_STORE_CORRUPT', 'CQRS_STORE_FOREIGN')) return undefined
  const { file, reason } = error.details
  return typeof file === 'string' && typeof reason === 'string' ? { file, reason } : undefined
}

/** The result of `work`, or the damage that it found. */
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
 * Reads what a generation leaves to the one that replaces it. If this is damaged, nothing is left and `otherwise` is
 * returned: a new generation is built to replace just such a file. But a reactor leaves effects, which would be lost
 * silently.
 *
 * @throws CqrsError CQRS_STORE_CORRUPT if what a reactor leaves cannot be read
 */
export async function readEstate<Result, Otherwise>(
  kind: 'projection' | 'reactor',
  read: () => Result | Promise<Result>,
  otherwise: Otherwise,
): Promise<Result | Otherwise> {
  const { damage, error, result } = await unlessDamaged(read)
  if (damage && kind === 'reactor') throw error
  return damage ? otherwise : result
}
