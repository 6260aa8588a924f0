import type { Position } from '../kernel/position.ts'
import type { Discarded } from './contract.ts'

/**
 * Tells which of some events operators gave up. A fold asks for each page of events. So the answer is up to date, and
 * only the discards of one page are in memory, however many there are in all.
 */
export type GivenUp = (positions: readonly Position[]) => Promise<ReadonlyMap<Position, Discarded>>

/** @param read one function for each place where discards are recorded; see `ViewStore.discardedAmong` */
export function givenUpIn(
  read: readonly ((positions: readonly Position[]) => Promise<readonly Discarded[]>)[],
): GivenUp {
  return async (positions) => {
    const found = await Promise.all(read.map((among) => among(positions)))
    return new Map(found.flat().map((one) => [one.event.position, one]))
  }
}
