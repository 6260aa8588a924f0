import type { Logger } from 'pino'
import type { ControlStore, Generation } from '../control/contract.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import type { ViewDamage } from '../projection/damage.ts'
import { type Place, placesOfStreams, type ViewStorage } from './place.ts'
import { lostEstate, lostTakeOver, ownDamage } from './verdict.ts'

const REPLACED =
  'The file of a view was removed or replaced while it was in use; going on from what is there now. If nothing is ' +
  'there, the view is built again from the log'

export interface DamagesOptions {
  readonly unit: ProjectionUnit
  readonly control: ControlStore
  readonly storage: ViewStorage
  readonly log: Logger
}

/**
 * The damaged generations of a unit. Each is reported once, in the log and in the control store, where operators look.
 */
export class Damages {
  readonly #options: DamagesOptions
  readonly #known = new Set<number>()
  readonly #givenUp = new Set<number>()

  constructor(options: DamagesOptions) {
    this.#options = options
  }

  /** Whether a generation was active and found damaged. */
  isKnown(generation: number): boolean {
    return this.#known.has(generation)
  }

  /** The active generation is damaged: it stands still until another one takes its place. */
  async note(generation: number, error: Error): Promise<void> {
    const { log } = this.#options
    if (this.#known.has(generation)) return
    this.#known.add(generation)
    log.error({ err: error, generation }, 'The view is damaged; it goes on as far as it can')
    await this.#explain(generation, error.message)
  }

  /**
   * The error if the active generation finds damage when it takes over from the one before. The caller has to
   * {@link note} it.
   */
  lostTakeOver(active: Generation, damage: ViewDamage, cause: Error): CqrsError {
    const { unit, storage } = this.#options
    const { places } = placesOfStreams(active, unit.projection, unit.partition)
    const own = places.map((place) => storage.file(place))
    const message = lostTakeOver(unit.projection.name, damage, own)
    return new CqrsError('CQRS_STORE_CORRUPT', message, { cause, details: { ...damage } })
  }

  /** Another file, or none, is where that of a generation was. That is no damage: it is only said in the log. */
  tellReplaced(generation: number, file: string): void {
    this.#options.log.warn({ generation, file }, REPLACED)
  }

  /** The file of a generation could be opened: forgets its damage. If it is still damaged, that will be found again. */
  async forget(generation: number): Promise<void> {
    this.#known.delete(generation)
    await this.#explain(generation, undefined)
  }

  /**
   * Gives up a generation that does not serve and cannot go on. One that is being built fails, one that was to return
   * is `previous` again, and one that is kept for a rollback stays behind.
   *
   * @param place the place of this unit's part of it
   * @param damage its own, or that of the active one, whose effects it is to take over
   */
  async giveUp({ generation, state }: Generation, place: Place, damage: ViewDamage): Promise<void> {
    const { unit, control, storage, log } = this.#options
    const { name } = unit.projection
    const error = damage.file === storage.file(place) ? ownDamage(damage) : lostEstate(name, damage)
    if (!this.#givenUp.has(generation))
      log.error({ generation, was: state, error }, 'A generation cannot go on')
    this.#givenUp.add(generation)
    if (state === 'previous') return
    await control.move(name, generation, state === 'returning' ? 'previous' : 'failed', { error })
  }

  /** Stores why this unit's part of a generation cannot go on; `undefined` if it can. */
  async #explain(generation: number, error: string | undefined): Promise<void> {
    const { unit, control } = this.#options
    const { name } = unit.projection
    const state = await control.projection(name)
    const found = state?.generations.find((one) => one.generation === generation)
    const part = found?.parts[unit.partition.index]
    if (part && part.error !== error)
      await control.progress(name, generation, part.partition, { ...part, error })
  }
}
