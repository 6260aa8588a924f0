import type { Position } from '../kernel/position.ts'
import type { Discarded, ViewStore } from './contract.ts'
import { unlessDamaged } from './damage.ts'

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

/** Which of some events operators gave up in a generation; none if it is damaged. */
export async function discardedIn(store: ViewStore, among: readonly Position[]): Promise<Discarded[]> {
  const { result = [] } = await unlessDamaged(() => store.discardedAmong(among))
  return result
}
