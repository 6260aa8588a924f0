import type { SystemStatus } from './contract.ts'

/** How many things failed for good and wait for an operator: dead parked events, dead effects, dead letters. */
export function undecided({ projections }: Pick<SystemStatus, 'projections'>): number {
  return projections.reduce(
    (sum, { parked, effects, queue }) =>
      sum + (parked?.dead ?? 0) + (effects?.dead ?? 0) + (queue?.deadLetters ?? 0),
    0,
  )
}
