import pRetry from 'p-retry'
import type { Logger } from 'pino'
import { reached } from '../boundaries.ts'
import { PAGE_BYTES } from '../log/contract.ts'
import type { RecordedEffect, TracedEffect, ViewStore } from './contract.ts'
import { unlessDamaged } from './damage.ts'
import { Lanes } from './lanes.ts'

/**
 * How sending an effect ended:
 * - `sent`: it was taken and answered
 * - `unreachable`: nobody was there to take it, because the engine or the function was away, or no command can be stored
 *   at the moment. That is not the effect's fault, so it stays recorded for as long as this lasts
 * - `stopped`: its receiver ended before it answered. That may be the effect's fault, so it stays recorded, but only
 *   for a limited number of such ends
 */
export type SendOutcome = 'sent' | 'unreachable' | 'stopped'

/** Carries out an effect. If it throws, that is a failed attempt, and the effect is tried again. */
export type SendEffect = (effect: TracedEffect, idempotencyKey: string) => Promise<SendOutcome>

export interface EffectSenderOptions {
  view: ViewStore
  send: SendEffect
  /** How many effects are sent at the same time, each of another sequence; 1 sends all of them in their order. */
  atOnce: number
  /** Attempts before an effect is dead. */
  maxAttempts: number
  /** An effect is dead when its receiver has ended this often before it answered. The number is stored in the view. */
  maxStops: number
  /** Delay after the first failure, in milliseconds; doubles with each further one. */
  baseMs: number
  /** Longest delay, in milliseconds. */
  capMs: number
  /** The wall clock, in milliseconds. */
  now: () => number
  log: Logger
  /** Whether to send no further effect for now; those that are being sent are not interrupted. Default never. */
  isPaused?: () => boolean
  /** Ends the waiting for a retry; what is not sent stays recorded. */
  signal: AbortSignal
}

/** The error of an effect that is dead because it was damaged, so that nobody knows any more what it was. */
const DAMAGED =
  'The stored effect is not what was recorded: its checksum differs. It was not sent, and a redrive does not send it either. ' +
  'Look up the event at the position in its key, do by hand what the effect should have done, then discard this letter.'

/** How many characters of the last error are kept with a dead effect: many of them have to fit into one answer. */
const KEPT_ERROR = 4_000

/**
 * How many effects are read from the store at once, at least, besides those under way, unless they exceed
 * {@link PAGE_BYTES}.
 */
const PAGE = 100

/**
 * Sends the recorded effects of a view, oldest first: those of one sequence one after the other, several sequences at
 * the same time. An effect is forgotten only after it was sent: if the process dies in between, it is sent again, under
 * the same idempotency key. An effect that nobody takes holds up those behind it until the next {@link flush}, so that
 * the order is kept.
 */
export class EffectSender {
  readonly #options: EffectSenderOptions
  readonly #lanes: Lanes
  readonly #page: number
  #flushing: Promise<void> | undefined
  /** Whether {@link flush} was called since the last page was read. */
  #again = false
  /** Ends the waiting for effects under way. */
  #wake = () => {}
  /** Whether no further effect is sent in this flush. */
  #over = false
  /** What failed in this flush. */
  #failures: unknown[] = []
  #unreachable = false
  /** Effects that are being sent or in line for it, by their keys. */
  readonly #underWay = new Map<string, Promise<void>>()
  /**
   * What is known of effects in the last page, by their keys: that one was sent, why one is dead, or how often the
   * receiver ended. A damaged view, or one that cannot be written, may say otherwise.
   */
  readonly #known = new Map<string, 'sent' | Failed | number>()
  /** Effects that were given up since the last call of {@link flush}. A damaged view may list them all the same. */
  readonly #givenUp = new Set<string>()

  constructor(options: EffectSenderOptions) {
    this.#options = options
    this.#lanes = new Lanes(options.atOnce)
    this.#page = Math.max(PAGE, 2 * options.atOnce)
  }

  /** Sends everything that is recorded by now. Calls at the same time share the work. */
  flush(): Promise<void> {
    this.#again = true
    this.#givenUp.clear()
    this.#wake()
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
    this.#over = false
    this.#failures = []
    let mayBeMore = false
    while (!this.#isOver()) {
      if ((this.#again || mayBeMore) && this.#underWay.size < this.#page / 2) {
        this.#again = false
        mayBeMore = await this.#beginPage().catch(this.#fail)
        if (this.#again) continue
      }
      if (this.#underWay.size > 0) {
        await this.#change()
        // If all that fitted into the last page was under way, it said nothing of what is behind.
        if (this.#underWay.size === 0) mayBeMore = true
      } else if (!mayBeMore) break
    }
    await this.#allEnded()
    if (this.#failures.length > 0) throw this.#failures[0]
  }

  #isOver(): boolean {
    const { signal, isPaused = () => false } = this.#options
    // Once it is over it stays so: what comes later in a sequence must not overtake what was left out.
    if (signal.aborted || isPaused()) this.#over = true
    return this.#over
  }

  readonly #fail = (error: unknown): false => {
    this.#over = true
    this.#failures.push(error)
    return false
  }

  /** Resolves when an effect under way has ended, or {@link flush} was called. */
  async #change(): Promise<void> {
    // No race of those under way: each race would stay in memory until the slowest of them has ended.
    await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  async #allEnded(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay.values())
  }

  /** Reads the effects to be sent next, and begins to send them. @returns whether there were any */
  async #beginPage(): Promise<boolean> {
    // While nobody takes the first effect, only that one is read for each try. But effects that are done with may be
    // listed before it; then a whole page is read.
    const isFirst = [...this.#known.values()].every((known) => typeof known === 'number')
    const onlyFirst = this.#unreachable && isFirst
    // What is under way now may be listed, although it has ended when the list arrives.
    const underWay = new Set(this.#underWay.keys())
    const limit = onlyFirst ? 1 : underWay.size + this.#page
    const pending = await this.#options.view.pendingEffects(limit, PAGE_BYTES)
    if (!onlyFirst) this.#keep(new Set(pending.map(({ idempotencyKey }) => idempotencyKey)))
    let begun = false
    for (const effect of pending) {
      const { idempotencyKey } = effect
      if (this.#isOver()) break
      if (underWay.has(idempotencyKey) || this.#givenUp.has(idempotencyKey)) continue
      const known = this.#known.get(idempotencyKey)
      if (known === 'sent') await this.#forget(effect)
      else if (typeof known === 'object') await this.#giveUp(effect, known)
      else {
        begun = true
        const isAlone = this.#isAlone(effect)
        if (isAlone) await this.#allEnded()
        this.#begin(effect)
        if (isAlone) await this.#allEnded()
      }
    }
    return begun
  }

  /** Forgets what is known of effects that are listed no more. */
  #keep(listed: ReadonlySet<string>): void {
    for (const key of this.#known.keys()) if (!listed.has(key)) this.#known.delete(key)
    for (const key of this.#givenUp) if (!listed.has(key)) this.#givenUp.delete(key)
  }

  /**
   * Whether nothing else may be sent at the same time. If receivers ended while they had several effects, each of these
   * is sent alone the next time, which shows the cause. An effect that an earlier version recorded does not say what its
   * sequence is.
   */
  #isAlone({ idempotencyKey, attempts, effect }: RecordedEffect): boolean {
    return attempts > 0 || this.#known.has(idempotencyKey) || effect.sequence === undefined
  }

  #begin(recorded: RecordedEffect): void {
    const { atOnce } = this.#options
    const { idempotencyKey, effect } = recorded
    const send = async () => {
      if (this.#isOver()) return
      try {
        if (!(await this.#settle(recorded))) this.#over = true
      } catch (error) {
        this.#fail(error)
      }
    }
    const sending = this.#lanes.run(atOnce === 1 ? '' : (effect.sequence ?? ''), send).finally(() => {
      this.#underWay.delete(idempotencyKey)
      this.#wake()
    })
    this.#underWay.set(idempotencyKey, sending)
  }

  /** Sends one effect; false if it is still to be sent. */
  async #settle(recorded: RecordedEffect): Promise<boolean> {
    const { signal } = this.#options
    const { idempotencyKey, damaged } = recorded
    if (damaged) {
      // A damaged effect may be listed first every time, so those behind it have to be read as well.
      this.#unreachable = false
      return this.#giveUp(recorded, { error: new Error(DAMAGED), attempts: 0 })
    }
    const outcome = await this.#send(recorded)
    if (signal.aborted && outcome !== 'sent') return false
    if (outcome === 'unreachable') return this.#wait(recorded)
    // Once it is over, another effect may be the one that nobody takes.
    if (!this.#over) this.#unreachable = false
    if (outcome === 'stopped') return this.#stop(recorded)
    if (outcome === 'sent') {
      reached('effect-sent', idempotencyKey)
      if (await this.#forget(recorded)) reached('effect-forgotten', idempotencyKey)
      return true
    }
    return this.#giveUp(recorded, outcome)
  }

  /**
   * Forgets an effect that was sent. A damaged file may list the effect again all the same, or refuse to forget it.
   * Then the effect must neither be sent again with every sweep nor hold up those behind it.
   *
   * @returns false if the view is too damaged to forget it
   */
  async #forget({ idempotencyKey, effect }: RecordedEffect): Promise<boolean> {
    const { view, log } = this.#options
    const isKnown = this.#known.get(idempotencyKey) === 'sent'
    this.#known.set(idempotencyKey, 'sent')
    const { damage, error } = await unlessDamaged(() => view.effectsSent([idempotencyKey]))
    if (!damage) return true
    if (!isKnown) log.error({ err: error, idempotencyKey, effect }, 'A sent effect cannot be removed')
    return false
  }

  #wait({ idempotencyKey, effect }: RecordedEffect): false {
    if (!this.#unreachable)
      this.#options.log.warn(
        { idempotencyKey, effect },
        'An effect cannot be delivered, because nobody accepts it at the moment; it waits',
      )
    this.#unreachable = true
    return false
  }

  /**
   * The receiver of an effect ended before it answered. Once or twice says nothing about the effect: processes end for
   * other reasons, too.
   */
  async #stop(recorded: RecordedEffect): Promise<boolean> {
    const { view, log, maxStops } = this.#options
    const { idempotencyKey, effect } = recorded
    const known = this.#known.get(idempotencyKey)
    const times = Math.max(recorded.attempts, typeof known === 'number' ? known : 0) + 1
    if (times < maxStops) {
      this.#known.set(idempotencyKey, times)
      await unlessDamaged(() => view.effectStopped(idempotencyKey, times))
      log.warn(
        { idempotencyKey, effect, times },
        'The receiver of an effect ended before it answered; the effect waits',
      )
      return false
    }
    const message = `Its receiver ended ${times} times before it answered; the effect may be the cause.`
    return this.#giveUp(recorded, { error: new Error(message), attempts: times })
  }

  /** Marks an effect as dead. If that cannot be stored, it is tried again with the next flush; the effect is not. */
  async #giveUp({ idempotencyKey, effect }: RecordedEffect, failure: Failed): Promise<true> {
    const { view, log, now } = this.#options
    const { error, attempts } = failure
    const isKnown = this.#known.get(idempotencyKey) === failure
    this.#known.set(idempotencyKey, failure)
    if (!isKnown)
      log.error({ err: error, idempotencyKey, effect }, 'An effect is dead and waits for an operator')
    const at = new Date(now()).toISOString()
    const failed = { attempts, error: error.message.slice(0, KEPT_ERROR), at }
    const stored = await unlessDamaged(() => view.effectFailed(idempotencyKey, failed))
    if (!stored.damage) {
      // An operator can make it pending again.
      this.#known.delete(idempotencyKey)
      this.#givenUp.add(idempotencyKey)
      reached('effect-dead', idempotencyKey)
    } else if (!isKnown)
      log.error({ err: stored.error, idempotencyKey, effect }, 'A dead effect cannot be listed as dead')
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
      // When it is aborted, p-retry rejects even if the effect has been sent.
      return outcome ?? { error: error as Error, attempts }
    }
  }
}

/** The last error of an effect that has used up its attempts, and how many these were. */
interface Failed {
  readonly error: Error
  readonly attempts: number
}
