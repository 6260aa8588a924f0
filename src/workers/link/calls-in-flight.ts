import type { IIIClient } from 'iii-sdk'

/** The error code of a call whose link broke before the answer arrived. */
export const LINK_LOST = 'link_lost'

/**
 * The calls that one process waits for. The SDK does not tell callers that the link broke. An answer that was due over
 * that link never comes, even if the engine is back in a moment, so each caller would wait until its timeout.
 */
export class CallsInFlight {
  readonly #giveUp = new Set<() => void>()

  /** Called when the link broke: gives up all calls that were made before. */
  linkLost(): void {
    for (const giveUp of this.#giveUp) giveUp()
  }

  /** The same client, except that its calls fail with the code {@link LINK_LOST} as soon as the link breaks. */
  over(iii: Pick<IIIClient, 'trigger'>): Pick<IIIClient, 'trigger'> {
    const lost = () =>
      Object.assign(new Error('The link to the engine broke before an answer.'), { code: LINK_LOST })
    return { trigger: (call) => this.orLost(iii.trigger(call), lost) }
  }

  /**
   * Waits for an answer.
   *
   * @throws the error that `lost` makes, if the link breaks first; it is then not known how the call ended
   */
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
