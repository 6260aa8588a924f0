import { isCqrsError } from '../../kernel/errors.ts'
import type { DiscardResult, Letter, LetterDetails, LetterSource, RedriveResult } from '../contract.ts'
import type { System } from '../system.ts'
import { type LetterId, parseLetterId } from './letter-id.ts'

/** A letter as its box lists it. */
export interface ListedLetter {
  readonly letter: Letter
  /** Pass it as `after` to list the letters that follow. */
  readonly cursor: string
}

/** The part of a redrive of everything that one call does, so that the caller gets an answer in time. */
export interface Stretch {
  /** The cursor of the letter before; without it, the redrive begins with the first letter. */
  readonly after?: string | undefined
  /** Whether it is time to answer. To be called after each step. */
  isOver(): boolean
}

/** One kind of place that holds letters: the queues, the parked events, or the effects. */
export interface LetterBox {
  readonly source: LetterSource
  /**
   * The queues, projections or partitions that may have letters.
   *
   * @param wanted the name that is asked for; if it is another name for one of them, it is included, too
   */
  names(system: System, wanted?: string): Promise<string[]>
  /** Every name that can be asked for, with or without letters. Without this function, {@link names} is used. */
  everyName?(system: System): Promise<string[]>
  /**
   * The next letters under one name, in their original order; fewer than `limit` only if there are no more.
   *
   * @param after the cursor of the letter before; without it, the list begins with the first one
   */
  list(system: System, name: string, limit: number, after?: string): Promise<ListedLetter[]>
  /**
   * A cursor as it is after `gone` of the letters up to it have left the list. Without this function, that changes no
   * cursor.
   */
  afterLeaving?(cursor: string, gone: number): string
  /** @throws CqrsError CQRS_NOT_FOUND */
  show(system: System, id: LetterId): Promise<LetterDetails>
  /** @throws CqrsError CQRS_NOT_FOUND */
  redrive(system: System, id: LetterId): Promise<RedriveResult>
  /**
   * Redrives everything under one name, in order.
   *
   * @param tell is called after each step with what that step did
   * @param stretch where to begin, and when to stop
   * @returns the cursor of the last letter that was handled, if the redrive was stopped; undefined if it is complete
   */
  redriveAll(
    system: System,
    name: string,
    tell: (done: RedriveResult) => void,
    stretch: Stretch,
  ): Promise<string | undefined>
  /** @throws CqrsError CQRS_NOT_FOUND */
  discard(system: System, id: LetterId, by: string, reason: string): Promise<DiscardResult>
}

/**
 * Handles letters of one box one by one. It is not an error if somebody else settles a letter before its turn.
 *
 * @param act handles one letter and answers what was done; rejects if the letter does not exist
 * @param tell is called with that answer after each letter; so what was done before a failure is known
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

/** Whether a letter still exists. Only its worker can say that it is gone; an error means that this is not known. */
async function isThere(box: LetterBox, system: System, id: LetterId): Promise<boolean> {
  try {
    await box.show(system, id)
    return true
  } catch (error) {
    if (isCqrsError(error, 'CQRS_NOT_FOUND')) return false
    throw error
  }
}
