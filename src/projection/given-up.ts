import type { Position } from '../kernel/position.ts'
import type { Discarded } from './contract.ts'

/**
 * What operators gave up of some events. Whoever folds a generation asks for each page of events, so that it knows what was
 * given up by now, and holds no more of it than those of a page, however much that is in all.
 */
export type GivenUp = (positions: readonly Position[]) => Promise<ReadonlyMap<Position, Discarded>>

/** @param read for each place where that is recorded; see `ViewStore.discardedAmong` */
export function givenUpIn(
  read: readonly ((positions: readonly Position[]) => Promise<readonly Discarded[]>)[],
): GivenUp {
  return async (positions) => {
    const found = await Promise.all(read.map((among) => among(positions)))
    return new Map(found.flat().map((one) => [one.event.position, one]))
  }
}
