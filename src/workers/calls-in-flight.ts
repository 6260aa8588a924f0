import type { IIIClient } from 'iii-sdk'

/** The code of the error of a call whose link broke before an answer. */
export const LINK_LOST = 'link_lost'

/**
 * The calls that one process waits for. The SDK tells no caller that its link broke: an answer that was on its way over it never
 * comes, though the engine may be back in a moment, and the caller waits until its timeout.
 */
export class CallsInFlight {
  readonly #giveUp = new Set<() => void>()

  /** The link broke: whatever was called before is given up. */
  linkLost(): void {
    for (const giveUp of this.#giveUp) giveUp()
  }

  /** The same client, whose calls fail with the code {@link LINK_LOST} as soon as the link breaks. */
  over(iii: Pick<IIIClient, 'trigger'>): Pick<IIIClient, 'trigger'> {
    const lost = () =>
      Object.assign(new Error('The link to the engine broke before an answer.'), { code: LINK_LOST })
    return { trigger: (call) => this.orLost(iii.trigger(call), lost) }
  }

  /** Gives what is answered. @throws what `lost` makes if the link breaks first; how the call ended is not known then */
  async orLost<Answer>(answer: Promise<Answer>, lost: () => Error): Promise<Answer> {
    const { promise, reject } = Promise.withResolvers<never>()
    const giveUp = () => reject(lost())
    this.#giveUp.add(giveUp)
    try {
      return await Promise.race([answer, promise])
    } finally {
      this.#giveUp.delete(giveUp)
    }
  }
}
