import type { DiscardResult, Letter, LetterDetails, LetterSource, RedriveResult } from './contract.ts'
import type { LetterId } from './letter-id.ts'
import type { System } from './system.ts'

/** A letter as its box lists it. */
export interface ListedLetter {
  readonly letter: Letter
  /** Give it as `after` for those behind it. */
  readonly cursor: string
}

/** One kind of place where letters lie: the queues, the parked events, the effects. */
export interface LetterBox {
  readonly source: LetterSource
  /** The queues, or the units, that may have letters. */
  names(system: System): Promise<string[]>
  /**
   * The next letters under one name, in their original order; fewer than `limit` if there are no more.
   *
   * @param after the cursor of the one before; from the first one on if left out
   */
  list(system: System, name: string, limit: number, after?: string): Promise<ListedLetter[]>
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
