import type { Logger } from 'pino'
import type { ControlStore, Generation, PartPhase, ProjectionControl } from '../control/contract.ts'
import { isUnderWay } from '../control/machine.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import { unlessDamaged, type ViewDamage } from '../projection/damage.ts'
import type { Damages } from './damages.ts'
import {
  type Build,
  type BuildProgress,
  fits,
  type Place,
  placesOfStreams,
  type StartBuild,
  type ViewHouse,
} from './place.ts'

export interface PartBuildsOptions {
  readonly unit: ProjectionUnit
  readonly control: ControlStore
  readonly house: ViewHouse
  readonly startBuild: StartBuild
  readonly log: Logger
}

/** States in which nothing of a generation is needed any more, its files included. */
const UNWANTED = ['cancelling', 'pruning', 'verified']

/** The parts of generations that this process builds for one unit, and those that it takes away. */
export class PartBuilds {
  readonly #options: PartBuildsOptions
  readonly #damages: Damages
  readonly #running = new Map<number, { readonly build: Build; readonly active: number | undefined }>()
  /** Builds that have ended where they were to end, which could not be noted yet: what notes it. */
  readonly #unnoted = new Map<number, () => Promise<void>>()

  constructor(options: PartBuildsOptions, damages: Damages) {
    this.#options = options
    this.#damages = damages
  }

  /** Begins what is to be built, ends what is not, and removes what is unwanted. */
  async reconcile(state: ProjectionControl, active: Generation | undefined): Promise<void> {
    for (const [generation, { build, active: before }] of this.#running) {
      const found = state.generations.find((one) => one.generation === generation)
      // Another active generation owes the effects, e.g. after a rollback: the build goes on beside that one.
      if (found && this.#isBuilt(found, active) && before === active?.generation) continue
      this.#running.delete(generation)
      await build.stop()
    }
    const unnoted = [...this.#unnoted.values()]
    this.#unnoted.clear()
    for (const note of unnoted) await note()
    for (const generation of state.generations) {
      if (generation.partitions !== this.#options.unit.partition.count) continue
      if (UNWANTED.includes(generation.state)) await this.#remove(generation)
      else if (await this.#isStillToBeBuilt(generation, active)) this.#begin(generation, active)
      else if (active && this.#hasLostTheLead(generation, active)) await this.#leadAgain(generation, active)
    }
  }

  /** Whether {@link reconcile} has something to do although the control store says the same as before. */
  get isUnnoted(): boolean {
    return this.#unnoted.size > 0
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ build }) => build.stop()))
    this.#running.clear()
  }

  /**
   * Whether a generation is made in threads of its own. One that is to return beside a generation that nobody moves is, too,
   * until it has reached where that one stands: it fits the code, and there is no step that moves it.
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

  /** What was read may be old by now: a build of it can have ended since. */
  async #isStillToBeBuilt(generation: Generation, active: Generation | undefined): Promise<boolean> {
    const { unit, control } = this.#options
    if (!this.#isToBeBuilt(generation, active)) return false
    const now = await control.projection(unit.projection.name)
    const found = now?.generations.find((one) => one.generation === generation.generation)
    return found !== undefined && this.#isToBeBuilt(found, active) && !this.#unnoted.has(found.generation)
  }

  /**
   * A swap takes the lead from all, and who dies between the last event and the note that it leads does not note it; beside
   * a generation that nobody moves there is no step that gives it back.
   */
  #hasLostTheLead(generation: Generation, active: Generation): boolean {
    const { projection, partition } = this.#options.unit
    const part = generation.parts[partition.index]
    if (!isUnderWay(generation.state) || generation.purpose === 'inspect') return false
    if (!fits(generation, projection) || fits(active, projection)) return false
    return part?.phase === 'following' && !part.leading
  }

  async #leadAgain(generation: Generation, active: Generation): Promise<void> {
    const { unit, control, house } = this.#options
    const { projection, partition } = unit
    const position = generation.parts[partition.index]?.position ?? 0
    for (const place of placesOfStreams(active, projection, partition).places) {
      const { result: served } = await unlessDamaged(async () => {
        const view = house.open(place)
        return view.checkpoint().finally(() => view.close())
      })
      // Nobody reads one that is damaged, so nobody sees a position that goes back.
      if (served && served.position > position)
        return control.fallBehind(projection.name, generation.generation, [partition.index])
    }
    await control.lead(projection.name, generation.generation, partition.index, active.generation)
  }

  #begin(generation: Generation, active: Generation | undefined): void {
    const { unit, startBuild, log } = this.#options
    if (this.#running.has(generation.generation)) return
    const { projection, partition } = unit
    // Nobody moves it: not this code, and no other, while this process has the unit.
    const frozen = active && !fits(active, projection) ? active : undefined
    const order = {
      place: this.#place(generation),
      // What the active generation has settled is settled; where it stands the new one takes over.
      until: generation.until ?? (frozen ? 'owing' : 'head'),
      owing: active ? placesOfStreams(active, projection, partition).places : [],
      takesOver: generation.purpose === 'serve',
    } as const
    log.info({ generation: generation.generation, purpose: generation.purpose }, 'building a generation')
    const build = startBuild(order, {
      // What returns is whole as far as it is, and can be read and swapped in by force meanwhile.
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
      // What has reached a generation that nobody moves leads.
      if (!frozen || generation.purpose === 'inspect') return
      await control.lead(name, generation.generation, partition.index, frozen.generation)
    } catch (error) {
      log.warn(
        { err: error, generation: generation.generation },
        'The end of a build could not be noted; it is tried again',
      )
      this.#unnoted.set(generation.generation, () => this.#finish(generation, position, frozen))
    }
  }

  async #giveUp(generation: Generation, damage: ViewDamage): Promise<void> {
    const { log } = this.#options
    this.#running.delete(generation.generation)
    try {
      await this.#damages.giveUp(generation, this.#place(generation), damage)
    } catch (error) {
      const about = { err: error, generation: generation.generation }
      log.warn(about, 'The damage of a build could not be noted; it is tried again')
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
      log.warn({ err: error, generation }, 'The progress of a build could not be noted')
    }
  }

  async #remove(generation: Generation): Promise<void> {
    const { unit, control, house, log } = this.#options
    if (generation.parts[unit.partition.index]?.phase === 'gone' && generation.state === 'verified') return
    await house.remove(this.#place(generation))
    await control.gone(unit.projection.name, generation.generation, unit.partition.index)
    log.info({ generation: generation.generation, was: generation.state }, 'a generation is removed')
  }

  #place({ generation, version }: Generation): Place {
    const { projection, partition } = this.#options.unit
    return { projection, generation, version, partition }
  }
}
