import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import { reachedNextTurn } from '../boundaries.ts'
import type { Position } from '../kernel/position.ts'
import type { ViewStore } from './contract.ts'
import type { EffectSender } from './effect-sender.ts'
import type { Projector } from './projector.ts'
import { Turns } from './turns.ts'

/** What a runner advances: a projector, or all generations of a view. */
export type Followed = Pick<Projector, 'position' | 'step' | 'retryDue' | 'redrive' | 'retry' | 'discard'>

export interface RunnerOptions {
  projector: Followed
  view: ViewStore
  effects: EffectSender
  /** The longest time between two looks at the log, in milliseconds. */
  sweepIntervalMs: number
  /** The clock of due times; see {@link ProjectorOptions.steady}. */
  now: () => number
  log: Logger
  /** Called when the view has advanced because of a queue message or because of the sweep. */
  onAdvance?: (path: 'queue' | 'sweep') => void
}

/** After this many batches, retries, effects and callers get their turn even if the log has more. */
const BATCHES_IN_TURN = 100

/**
 * Keeps one view at the head of the log. Everything that asks for progress (a queue message, the sweep, a retry that is
 * due, an operator) takes its turn here, so that the projector does one thing at a time.
 *
 * Thanks to the sweep, the queue only makes things faster: without a single message, the view still starts to catch up
 * within `sweepIntervalMs`. If the store fails, nothing was stored, the caller gets the error, and the next sweep tries
 * again.
 */
export class ProjectionRunner {
  readonly #options: RunnerOptions
  readonly #turns = new Turns()
  #drain: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  /** Whether the last catch-up ended before it reached the head. */
  #behind = false

  constructor(options: RunnerOptions) {
    this.#options = options
  }

  /** Catches up with the log, then keeps sweeping. Resolves when the first catch-up has ended. */
  async start(): Promise<void> {
    await this.#sweep()
  }

  /**
   * Applies the log up to `to`. Callers that come before a catch-up has begun share it. If the view is there already,
   * the call costs nothing.
   *
   * @throws CqrsError if a store fails
   */
  async advanceTo(to: Position): Promise<void> {
    while (!this.#stopped && (await this.#options.projector.position()) < to) {
      const before = await this.#options.projector.position()
      await this.catchUp()
      // A position beyond the head cannot be waited for: the message names what the log does not have.
      if ((await this.#options.projector.position()) === before) return
      this.#options.onAdvance?.('queue')
    }
    reachedNextTurn('advance-answered')
  }

  /** Runs an operator's action when the catch-up that is under way has ended. */
  inTurn<Result>(action: (projector: Followed) => Promise<Result>): Promise<Result> {
    return this.#turns.run(() => action(this.#options.projector))
  }

  /** Finishes the batch and the effect that are under way and begins no other; then the view may be closed. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#turns.run(async () => undefined)
    await this.#options.effects.idle()
  }

  /** Applies what the log has. Calls that come before it has begun share it. @throws CqrsError if a store fails */
  catchUp(): Promise<void> {
    this.#drain ??= this.inTurn(async (projector) => {
      this.#drain = undefined
      this.#behind = false
      // Under load the head moves with every batch, and may not be reached for hours.
      for (let batch = 1; !this.#stopped && (await projector.step()) !== 'at-head'; batch += 1) {
        this.#behind = batch >= BATCHES_IN_TURN
        if (this.#behind) break
        // Between batches the process answers pings and messages, however far behind the view is.
        await nextTurn()
      }
      if (this.#stopped) return
      await projector.retryDue()
      this.sendEffects()
    })
    return this.#drain
  }

  async #sweep(): Promise<void> {
    const { projector, onAdvance } = this.#options
    try {
      const before = await projector.position()
      await this.catchUp()
      if ((await projector.position()) > before) onAdvance?.('sweep')
    } catch (error) {
      this.#options.log.error(
        { err: error },
        'The view could not catch up with the log; the next sweep tries again',
      )
    }
    const wait = this.#behind ? 0 : await this.#untilNextSweep()
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#sweep(), wait)
  }

  async #untilNextSweep(): Promise<number> {
    const { view, sweepIntervalMs, now } = this.#options
    const dueAt = await view.nextDueAt().catch(() => undefined)
    if (dueAt === undefined) return sweepIntervalMs
    return Math.min(sweepIntervalMs, Math.max(10, dueAt - now()))
  }

  /** Starts to send the recorded effects, and does not wait for it: there may be very many. */
  sendEffects(): void {
    this.#options.effects.flush().catch((error) => {
      this.#options.log.error(
        { err: error },
        'The recorded effects could not be read; the next sweep tries again',
      )
    })
  }
}
