import { CqrsError } from '../kernel/errors.ts'
import type { EffectPlace, RecordedEffect, Redriven, ViewStore } from '../projection/contract.ts'
import { ViewDecorator } from '../projection/view-decorator.ts'

/**
 * The view of whichever generation is active. Those who send effects and decide on letters hold this view, and do not
 * notice a swap. A change of effects waits while a swap is under way, so that it changes the effects where they are
 * afterwards.
 *
 * While the active generation is of another version of the fold, or its file cannot be opened, it is not touched: there
 * is nothing to send, and whoever wants to decide gets an error.
 */
export class ActiveView extends ViewDecorator {
  readonly #projection: string
  #swap: Promise<unknown> = Promise.resolve()
  #current: ViewStore | undefined
  #damage: unknown
  #paused = false

  constructor(projection: string) {
    super()
    this.#projection = projection
  }

  /** @throws CqrsError CQRS_STORE_CORRUPT if it is damaged; CQRS_VIEW_BEHIND while it is of another version */
  protected override get view(): ViewStore {
    if (this.#current) return this.#current
    if (this.#damage) throw this.#damage
    throw new CqrsError(
      'CQRS_VIEW_BEHIND',
      `The version of the view ${this.#projection} that this app defines is not active yet; wait for its rebuild ("cqrs projections" shows it).`,
    )
  }

  /** Makes another view the current one after `prepare`; nothing is sent or decided meanwhile. */
  async become(view: ViewStore | undefined, prepare: () => Promise<void> = async () => undefined) {
    const swap = (async () => {
      await prepare()
      this.#current = view
      this.#damage = undefined
    })()
    this.#swap = swap.catch(() => undefined)
    await swap
  }

  /** From now on there is no current view, since its file is damaged: calls throw `error`. */
  becomeDamaged(error: unknown): void {
    this.#current = undefined
    this.#damage = error
  }

  /** Pauses or resumes: while paused, no effect is given out to be sent. */
  pause(paused: boolean): void {
    this.#paused = paused
  }

  get isPaused(): boolean {
    return this.#paused
  }

  get current(): ViewStore | undefined {
    return this.#current
  }

  override async pendingEffects(limit: number, maxBytes?: number): Promise<RecordedEffect[]> {
    await this.#swap
    return this.#paused || !this.#current ? [] : this.view.pendingEffects(limit, maxBytes)
  }

  override async nextDueAt(): Promise<number | undefined> {
    return this.#paused ? undefined : this.#current?.nextDueAt()
  }

  override async effectsSent(idempotencyKeys: readonly string[]): Promise<void> {
    await this.#swap
    return this.view.effectsSent(idempotencyKeys)
  }

  override async effectStopped(key: string, times: number) {
    await this.#swap
    return this.view.effectStopped(key, times)
  }

  override async effectFailed(key: string, failure: { attempts: number; error: string; at: string }) {
    await this.#swap
    return this.view.effectFailed(key, failure)
  }

  override async redriveEffects(idempotencyKey?: string, after?: EffectPlace): Promise<Redriven> {
    await this.#swap
    return this.view.redriveEffects(idempotencyKey, after)
  }

  override async discardEffect(key: string, discard: { by: string; reason: string; at: string }) {
    await this.#swap
    return this.view.discardEffect(key, discard)
  }
}
