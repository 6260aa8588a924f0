import { isCqrsError } from '../kernel/errors.ts'
import type { DiscardResult, Letter, LetterDetails, LetterSource, RedriveResult } from './contract.ts'
import { type LetterId, parseLetterId } from './letter-id.ts'
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
  /**
   * The queues, or the units, that may have letters.
   *
   * @param wanted the name that is asked for: further names, by which some of them are meant, are among them if it is one
   */
  names(system: System, wanted?: string): Promise<string[]>
  /** All that can be asked for by name, whether it may have letters or not; {@link names} if left out. */
  everyName?(system: System): Promise<string[]>
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
  /** Redrives everything under one name, in order. @param tell is told what was done, each time that something was */
  redriveAll(system: System, name: string, tell: (done: RedriveResult) => void): Promise<void>
  /** @throws CqrsError CQRS_NOT_FOUND */
  discard(system: System, id: LetterId, by: string, reason: string): Promise<DiscardResult>
}

/**
 * Deals with letters of one box one by one. One that was settled by somebody else before its turn is no failure.
 *
 * @param act deals with one, and answers what was done; rejects if it is not there
 * @param tell is told that, each time: those before one that fails are dealt with
 */
export async function settleEach<Done>(
  { box, system }: { readonly box: LetterBox; readonly system: System },
  letters: readonly Letter[],
  act: (id: LetterId) => Promise<Done>,
  tell: (done: Done) => void = () => {},
): Promise<void> {
  for (const letter of letters) {
    const id = parseLetterId(letter.id)
    try {
      tell(await act(id))
    } catch (error) {
      if (isCqrsError(error, 'CQRS_ENGINE_UNREACHABLE') || (await isThere(box, system, id))) throw error
    }
  }
}

/** Only who was asked and has it no more says that it is gone: of a worker that does not answer nobody knows. */
async function isThere(box: LetterBox, system: System, id: LetterId): Promise<boolean> {
  try {
    await box.show(system, id)
    return true
  } catch (error) {
    if (isCqrsError(error, 'CQRS_NOT_FOUND')) return false
    throw error
  }
}
