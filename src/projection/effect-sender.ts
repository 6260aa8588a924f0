import pRetry from 'p-retry'
import type { Logger } from 'pino'
import { reached } from '../boundaries.ts'
import { PAGE_BYTES } from '../log/contract.ts'
import type { RecordedEffect, TracedEffect, ViewStore } from './contract.ts'

/**
 * How sending an effect ended. `unreachable`: nobody was there to take it, because the engine or the
 * function was away. That is not the effect's fault: it stays recorded, however long it takes. `stopped`: whoever had
 * taken it ended before an answer, which may be the effect's fault: it stays recorded, but not for ever.
 */
export type SendOutcome = 'sent' | 'unreachable' | 'stopped'

/** Does an effect in the world; what it throws is a failed attempt and tried again. */
export type SendEffect = (effect: TracedEffect, idempotencyKey: string) => Promise<SendOutcome>

export interface EffectSenderOptions {
  view: ViewStore
  send: SendEffect
  /** Attempts before an effect is dead. */
  maxAttempts: number
  /** Times that whoever had taken an effect ended before an answer, before it is dead; counted in the view. */
  maxStops: number
  /** Delay after the first failure, in milliseconds; doubles with each further one. */
  baseMs: number
  /** Longest delay, in milliseconds. */
  capMs: number
  /** The wall clock, in milliseconds. */
  now: () => number
  log: Logger
  /** Whether no further effect is to be sent for now; the one under way ends as it would. Default never. */
  isPaused?: () => boolean
  /** Ends the waiting for a retry; what is not sent stays recorded. */
  signal: AbortSignal
}

/** Said of an effect that is dead because nobody knows any more what it was. */
const DAMAGED =
  'What is stored of it is not what was recorded: its checksum differs. It was not sent, and a redrive does not send it either. ' +
  'See what the event at the position in its key calls for, do that by hand if it was not done, then discard this letter.'

/** How much of the last error is kept with a dead effect, in characters: many of them have to fit into one answer. */
const KEPT_ERROR = 4_000

/** Effects read from the store at once, if they are no more than {@link PAGE_BYTES}. */
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
  /** Keys that were taken, of those that the last page had. */
  #taken = new Set<string>()

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
    const { view, signal, isPaused = () => false } = this.#options
    for (let before: string | undefined; this.#again && !signal.aborted; ) {
      this.#again = false
      // While nobody takes the first one, no others are read each time that it is tried; but those taken may be before it.
      const limit = this.#unreachable && this.#taken.size === 0 ? 1 : PAGE
      const pending = await view.pendingEffects(limit, PAGE_BYTES)
      const first = pending[0]?.idempotencyKey
      // There may be more than fit into a page. What a damaged file gives once more has to wait for the next flush.
      if (first !== undefined && first !== before) this.#again = true
      before = first
      const listed = new Set(pending.map(({ idempotencyKey }) => idempotencyKey))
      this.#taken = this.#taken.intersection(listed)
      for (const effect of pending) {
        // Of a page that was read before a pause, the rest stays.
        if (signal.aborted || isPaused()) return
        if (this.#taken.has(effect.idempotencyKey)) await this.#forget(effect)
        else if (!(await this.#settle(effect))) return
      }
    }
  }

  /** Sends one effect; false if it is still to be sent. */
  async #settle(recorded: RecordedEffect): Promise<boolean> {
    const { signal } = this.#options
    const { idempotencyKey, damaged } = recorded
    if (damaged) {
      // It may be listed first ever again: those behind it are read as well.
      this.#unreachable = false
      return this.#giveUp(recorded, { error: new Error(DAMAGED), attempts: 0 })
    }
    const outcome = await this.#send(recorded)
    if (signal.aborted && outcome !== 'sent') return false
    if (outcome === 'unreachable') return this.#wait(recorded)
    this.#unreachable = false
    if (outcome === 'stopped') return this.#stop(recorded)
    if (outcome === 'sent') {
      reached('effect-sent', idempotencyKey)
      await this.#forget(recorded)
      reached('effect-forgotten', idempotencyKey)
      return true
    }
    return this.#giveUp(recorded, outcome)
  }

  /** One that was taken. In a damaged file it may be listed again all the same, and must not be sent with every sweep. */
  async #forget({ idempotencyKey }: RecordedEffect): Promise<void> {
    this.#taken.add(idempotencyKey)
    await this.#options.view.effectsSent([idempotencyKey])
  }

  #wait({ idempotencyKey, effect }: RecordedEffect): false {
    if (!this.#unreachable)
      this.#options.log.warn({ idempotencyKey, effect }, 'Nobody takes an effect; it waits')
    this.#unreachable = true
    return false
  }

  /** Whoever had taken it ended. Once or twice says nothing of the effect: processes end for reasons of their own. */
  async #stop(recorded: RecordedEffect): Promise<boolean> {
    const { view, log, maxStops } = this.#options
    const { idempotencyKey, effect } = recorded
    const times = recorded.attempts + 1
    if (times < maxStops) {
      await view.effectStopped(idempotencyKey, times)
      log.warn({ idempotencyKey, effect, times }, 'Who took an effect ended before an answer; it waits')
      return false
    }
    const message = `Its taker ended before an answer ${times} times, the effect perhaps being why.`
    return this.#giveUp(recorded, { error: new Error(message), attempts: times })
  }

  async #giveUp({ idempotencyKey, effect }: RecordedEffect, { error, attempts }: Failed): Promise<true> {
    const { view, log, now } = this.#options
    log.error({ err: error, idempotencyKey, effect }, 'An effect is dead')
    const at = new Date(now()).toISOString()
    await view.effectFailed(idempotencyKey, { attempts, error: error.message.slice(0, KEPT_ERROR), at })
    reached('effect-dead', idempotencyKey)
    return true
  }

  async #send({ effect, idempotencyKey }: RecordedEffect): Promise<SendOutcome | Failed> {
    const { send, maxAttempts, baseMs, capMs, signal } = this.#options
    let outcome: SendOutcome | undefined
    let attempts = 0
    const attempt = async () => {
      attempts += 1
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
      return outcome ?? { error: error as Error, attempts }
    }
  }
}

/** The last error of an effect that was tried as often as it may be, and how often that was. */
interface Failed {
  readonly error: Error
  readonly attempts: number
}
