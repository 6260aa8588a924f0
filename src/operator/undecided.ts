import type { SystemStatus } from './contract.ts'

/** How much failed for good and waits for an operator's decision: dead parked events, dead effects, dead letters. */
export function undecided({ projections }: Pick<SystemStatus, 'projections'>): number {
  return projections.reduce(
    (sum, { parked, effects, queue }) =>
      sum + (parked?.dead ?? 0) + (effects?.dead ?? 0) + (queue?.deadLetters ?? 0),
    0,
  )
}
