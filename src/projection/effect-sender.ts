import pRetry from 'p-retry'
import type { Logger } from 'pino'
import { reached } from '../boundaries.ts'
import type { RecordedEffect, TracedEffect, ViewStore } from './contract.ts'

/**
 * How sending an effect ended. `unreachable`: nobody was there to take it, because the engine or the
 * function was away. That is not the effect's fault: it stays recorded, however long it takes.
 */
export type SendOutcome = 'sent' | 'unreachable'

/** Does an effect in the world; what it throws is a failed attempt and tried again. */
export type SendEffect = (effect: TracedEffect, idempotencyKey: string) => Promise<SendOutcome>

export interface EffectSenderOptions {
  view: ViewStore
  send: SendEffect
  /** Attempts before an effect is dead. */
  maxAttempts: number
  /** Delay after the first failure, in milliseconds; doubles with each further one. */
  baseMs: number
  /** Longest delay, in milliseconds. */
  capMs: number
  /** The wall clock, in milliseconds. */
  now: () => number
  log: Logger
  /** Ends the waiting for a retry; what is not sent stays recorded. */
  signal: AbortSignal
}

/** Effects read from the store at once. */
const PAGE = 100

/**
 * Sends the recorded effects of a view, oldest first, one at a time. An effect is forgotten only after
 * it was sent: if the process dies between the two it is sent again, under the same idempotency key. One
 * that nobody takes holds up those behind it until the next {@link flush}, so that order is kept.
 */
export class EffectSender {
  readonly #options: EffectSenderOptions
  #flushing: Promise<void> | undefined
  #again = false
  #unreachable = false

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

  /** Resolves when the sending that is under way has ended, however it ended. */
  async idle(): Promise<void> {
    await this.#flushing?.catch(() => undefined)
  }

  async #sendAll(): Promise<void> {
    const { view, signal } = this.#options
    while (this.#again && !signal.aborted) {
      this.#again = false
      const pending = await view.pendingEffects(PAGE)
      if (pending.length === PAGE) this.#again = true
      for (const effect of pending) {
        if (signal.aborted || !(await this.#settle(effect))) return
      }
    }
  }

  /** Sends one effect; false if it is still to be sent. */
  async #settle(recorded: RecordedEffect): Promise<boolean> {
    const { view, maxAttempts, log, signal, now } = this.#options
    const { idempotencyKey, effect } = recorded
    const outcome = await this.#send(recorded)
    if (signal.aborted && outcome !== 'sent') return false
    if (outcome === 'unreachable') {
      if (!this.#unreachable) log.warn({ idempotencyKey, effect }, 'Nobody takes an effect; it waits')
      this.#unreachable = true
      return false
    }
    this.#unreachable = false
    if (outcome === 'sent') {
      reached('effect-sent', idempotencyKey)
      await view.effectsSent([idempotencyKey])
      reached('effect-forgotten', idempotencyKey)
      return true
    }
    log.error({ err: outcome, idempotencyKey, effect }, 'An effect failed too often and is dead')
    const at = new Date(now()).toISOString()
    await view.effectFailed(idempotencyKey, { attempts: maxAttempts, error: outcome.message, at })
    reached('effect-dead', idempotencyKey)
    return true
  }

  async #send({ effect, idempotencyKey }: RecordedEffect): Promise<SendOutcome | Error> {
    const { send, maxAttempts, baseMs, capMs, signal } = this.#options
    let outcome: SendOutcome | undefined
    const attempt = async () => {
      outcome = await send(effect, idempotencyKey)
      return outcome
    }
    try {
      return await pRetry(attempt, {
        retries: maxAttempts - 1,
        minTimeout: baseMs,
        maxTimeout: capMs,
        randomize: true,
        signal,
      })
    } catch (error) {
      // Called off meanwhile, p-retry rejects even what has been sent.
      return outcome ?? (error as Error)
    }
  }
}
