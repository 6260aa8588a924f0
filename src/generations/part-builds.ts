import type { Logger } from 'pino'
import type { ControlStore, Generation, PartPhase, ProjectionControl } from '../control/contract.ts'
import { isUnderWay, losesItsFiles } from '../control/machine.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import { unlessDamaged, type ViewDamage } from '../projection/damage.ts'
import type { Damages } from './damages.ts'
import {
  type Build,
  type BuildProgress,
  fits,
  placeOf,
  placesOfStreams,
  type StartBuild,
  type ViewStorage,
} from './place.ts'

export interface PartBuildsOptions {
  readonly unit: ProjectionUnit
  readonly control: ControlStore
  readonly storage: ViewStorage
  readonly startBuild: StartBuild
  readonly log: Logger
}

/** The parts of generations that this process builds for one unit, and those that it removes. */
export class PartBuilds {
  readonly #options: PartBuildsOptions
  readonly #damages: Damages
  readonly #running = new Map<number, { readonly build: Build; readonly active: number | undefined }>()
  /** Builds whose end, or damage, could not be stored yet: for each generation, what stores it. */
  readonly #unnoted = new Map<number, () => Promise<void>>()

  constructor(options: PartBuildsOptions, damages: Damages) {
    this.#options = options
    this.#damages = damages
  }

  /** Starts the builds that are needed, stops those that are not, and removes unwanted parts. */
  async reconcile(state: ProjectionControl, active: Generation | undefined): Promise<void> {
    for (const [generation, { build, active: before }] of this.#running) {
      const found = state.generations.find((one) => one.generation === generation)
      // If another generation is active now, for example after a rollback, it owes the effects. So the build is
      // stopped, and goes on beside that one.
      if (found && this.#isBuilt(found, active) && before === active?.generation) continue
      this.#running.delete(generation)
      await build.stop()
    }
    const unnoted = [...this.#unnoted.values()]
    this.#unnoted.clear()
    for (const note of unnoted) await note()
    for (const generation of state.generations) {
      if (generation.partitions !== this.#options.unit.partition.count) continue
      if (losesItsFiles(generation.state)) await this.#remove(generation)
      else if (await this.#isStillToBeBuilt(generation, active)) this.#begin(generation, active)
      else if (active && this.#hasLostTheLead(generation, active)) await this.#leadAgain(generation, active)
    }
  }

  /** Whether {@link reconcile} has something to do although the control store has not changed. */
  get isUnnoted(): boolean {
    return this.#unnoted.size > 0
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ build }) => build.stop()))
    this.#running.clear()
  }

  /**
   * Whether a generation is built in threads of its own. This is also true of a generation that is to return while
   * nobody advances the active one, until it has reached the position of that one: it fits the code, and no step would
   * advance it.
   */
  #isBuilt({ state, forced }: Generation, active: Generation | undefined): boolean {
    if (state === 'returning')
      return !forced && active !== undefined && !fits(active, this.#options.unit.projection)
    return state === 'building'
  }

  #isToBeBuilt(generation: Generation, active: Generation | undefined): boolean {
    const { projection, partition } = this.#options.unit
    const part = generation.parts[partition.index]
    if (!this.#isBuilt(generation, active) || !fits(generation, projection)) return false
    return generation.state === 'returning' ? !part?.leading : part?.phase !== 'following'
  }

  /** Reads the state again, because it may be out of date: a build of the generation can have ended since. */
  async #isStillToBeBuilt(generation: Generation, active: Generation | undefined): Promise<boolean> {
    const { unit, control } = this.#options
    if (!this.#isToBeBuilt(generation, active)) return false
    const now = await control.projection(unit.projection.name)
    const found = now?.generations.find((one) => one.generation === generation.generation)
    return found !== undefined && this.#isToBeBuilt(found, active) && !this.#unnoted.has(found.generation)
  }

  /**
   * Whether a generation is built but does not lead any more. A swap takes the lead from all, and a process that dies
   * between the last event and the note that it leads does not store the note. While nobody advances the active
   * generation, no step gives the lead back.
   */
  #hasLostTheLead(generation: Generation, active: Generation): boolean {
    const { projection, partition } = this.#options.unit
    const part = generation.parts[partition.index]
    if (!isUnderWay(generation.state) || generation.purpose === 'inspect') return false
    if (!fits(generation, projection) || fits(active, projection)) return false
    return part?.phase === 'following' && !part.leading
  }

  async #leadAgain(generation: Generation, active: Generation): Promise<void> {
    const { unit, control, storage } = this.#options
    const { projection, partition } = unit
    const position = generation.parts[partition.index]?.position ?? 0
    for (const place of placesOfStreams(active, projection, partition).places) {
      const { result: served } = await unlessDamaged(async () => {
        const view = storage.open(place)
        return view.checkpoint().finally(() => view.close())
      })
      // Nobody can read a damaged part, so nobody sees its position go back.
      if (served && served.position > position)
        return control.fallBehind(projection.name, generation.generation, [partition.index])
    }
    await control.lead(projection.name, generation.generation, partition.index, active.generation)
  }

  #begin(generation: Generation, active: Generation | undefined): void {
    const { unit, startBuild, log } = this.#options
    if (this.#running.has(generation.generation)) return
    const { projection, partition } = unit
    // An active generation that nobody advances: this code cannot, and no other does while this process owns the unit.
    const frozen = active && !fits(active, projection) ? active : undefined
    const order = {
      place: placeOf(unit, generation),
      // What the active generation has settled stays settled; the new one takes over at its position.
      until: generation.until ?? (frozen ? 'owing' : 'head'),
      owing: active ? placesOfStreams(active, projection, partition).places : [],
      takesOver: generation.purpose === 'serve',
    } as const
    log.info({ generation: generation.generation, purpose: generation.purpose }, 'building a generation')
    const build = startBuild(order, {
      // A generation that returns is complete up to its position. Meanwhile it can be read and be swapped in by force.
      onProgress: (progress) =>
        void this.#note(
          generation,
          generation.state === 'returning' ? 'following' : progress.phase,
          progress,
        ),
      onDone: (position) => void this.#finish(generation, position, frozen),
      onDamage: (damage) => void this.#giveUp(generation, damage),
    })
    this.#running.set(generation.generation, { build, active: active?.generation })
  }

  async #finish(generation: Generation, position: number, frozen: Generation | undefined): Promise<void> {
    const { unit, control, log } = this.#options
    const { projection, partition } = unit
    const name = projection.name
    const done = {
      phase: 'following',
      position,
      target: position,
      eventsPerSecond: 0,
      error: undefined,
    } as const
    this.#running.delete(generation.generation)
    try {
      await control.progress(name, generation.generation, partition.index, done)
      // A build that has reached an active generation that nobody advances leads.
      if (!frozen || generation.purpose === 'inspect') return
      await control.lead(name, generation.generation, partition.index, frozen.generation)
    } catch (error) {
      log.warn(
        { err: error, generation: generation.generation },
        'The end of a build could not be recorded; trying again',
      )
      this.#unnoted.set(generation.generation, () => this.#finish(generation, position, frozen))
    }
  }

  async #giveUp(generation: Generation, damage: ViewDamage): Promise<void> {
    const { unit, log } = this.#options
    this.#running.delete(generation.generation)
    try {
      await this.#damages.giveUp(generation, placeOf(unit, generation), damage)
    } catch (error) {
      const about = { err: error, generation: generation.generation }
      log.warn(about, 'The damage of a build could not be recorded; trying again')
      this.#unnoted.set(generation.generation, () => this.#giveUp(generation, damage))
    }
  }

  async #note(
    { generation }: Generation,
    phase: PartPhase,
    progress: Omit<BuildProgress, 'phase'>,
  ): Promise<void> {
    const { unit, control, log } = this.#options
    try {
      await control.progress(unit.projection.name, generation, unit.partition.index, { ...progress, phase })
    } catch (error) {
      log.warn({ err: error, generation }, 'The progress of a build could not be recorded')
    }
  }

  async #remove(generation: Generation): Promise<void> {
    const { unit, control, storage, log } = this.#options
    if (generation.parts[unit.partition.index]?.phase === 'gone' && generation.state === 'verified') return
    await storage.remove(placeOf(unit, generation))
    await control.gone(unit.projection.name, generation.generation, unit.partition.index)
    log.info({ generation: generation.generation, was: generation.state }, 'a generation was removed')
  }
}
