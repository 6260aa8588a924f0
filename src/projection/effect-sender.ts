import pRetry from 'p-retry'
import type { Logger } from 'pino'
import type { Effect } from '../kernel/projection.ts'
import type { RecordedEffect, ViewStore } from './contract.ts'

/** Does an effect in the world; what it throws is tried again. */
export type SendEffect = (effect: Effect, idempotencyKey: string) => Promise<void>

export interface EffectSenderOptions {
  view: ViewStore
  send: SendEffect
  /** Attempts before an effect is dead. */
  maxAttempts: number
  /** Delay after the first failure, in milliseconds; doubles with each further one. */
  baseMs: number
  /** Longest delay, in milliseconds. */
  capMs: number
  log: Logger
  /** Ends the waiting for a retry; what is not sent stays recorded. */
  signal: AbortSignal
}

/** Effects read from the store at once. */
const PAGE = 100

/**
 * Sends the recorded effects of a view, oldest first, one at a time. An effect is forgotten only after
 * it was sent: if the process dies between the two it is sent again, under the same idempotency key.
 */
export class EffectSender {
  readonly #options: EffectSenderOptions
  #flushing: Promise<void> | undefined
  #again = false

  constructor(options: EffectSenderOptions) {
    this.#options = options
  }

  /** Sends everything that is recorded by now. Calls at the same time share the work. */
  flush(): Promise<void> {
    this.#again = true
    this.#flushing ??= this.#sendAll().finally(() => {
      this.#flushing = undefined
    })
    return this.#flushing
  }

  async #sendAll(): Promise<void> {
    const { view, signal } = this.#options
    while (this.#again && !signal.aborted) {
      this.#again = false
      const pending = await view.pendingEffects(PAGE)
      if (pending.length === PAGE) this.#again = true
      for (const effect of pending) {
        if (signal.aborted) return
        await this.#sendOne(effect)
      }
    }
  }

  async #sendOne({ effect, idempotencyKey }: RecordedEffect): Promise<void> {
    const { view, send, maxAttempts, baseMs, capMs, log, signal } = this.#options
    try {
      await pRetry(() => send(effect, idempotencyKey), {
        retries: maxAttempts - 1,
        minTimeout: baseMs,
        maxTimeout: capMs,
        randomize: true,
        signal,
      })
      await view.effectsSent([idempotencyKey])
    } catch (error) {
      if (signal.aborted) return
      log.error(
        { err: error, idempotencyKey, effect },
        'An effect could not be sent and is dead; redrive it when the cause is gone',
      )
      await view.effectFailed(idempotencyKey, maxAttempts, String((error as Error).message))
    }
  }
}
