import type { DiscardResult, Letter, LetterDetails, LetterSource, RedriveResult } from './contract.ts'
import type { LetterId } from './letter-id.ts'
import type { System } from './system.ts'

/** One kind of place where letters lie: the queues, the parked events, the effects. */
export interface LetterBox {
  readonly source: LetterSource
  /** The queues, or the projections, that may have letters. */
  names(system: System): Promise<string[]>
  /** The oldest letters under one name. */
  list(system: System, name: string, limit: number): Promise<Letter[]>
  /** @throws CqrsError CQRS_NOT_FOUND */
  show(system: System, id: LetterId): Promise<LetterDetails>
  /** @throws CqrsError CQRS_NOT_FOUND */
  redrive(system: System, id: LetterId): Promise<RedriveResult>
  /** Redrives everything under one name, in order. */
  redriveAll(system: System, name: string): Promise<RedriveResult>
  /** @throws CqrsError CQRS_NOT_FOUND */
  discard(system: System, id: LetterId, by: string, reason: string): Promise<DiscardResult>
}

/**
 * Deals with letters one by one. One that was settled by somebody else before its turn is no failure.
 *
 * @param act deals with one, and answers how many that were; rejects if it is not there
 * @param isThere whether it still is
 * @returns the sum
 */
export async function settleEach(
  letters: readonly Letter[],
  act: (letter: Letter) => Promise<number>,
  isThere: (letter: Letter) => Promise<boolean>,
): Promise<number> {
  let done = 0
  for (const letter of letters) {
    try {
      done += await act(letter)
    } catch (error) {
      if (await isThere(letter)) throw error
    }
  }
  return done
}
