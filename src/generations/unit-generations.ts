import type { Logger } from 'pino'
import { reached } from '../boundaries.ts'
import type { ControlStore, Generation, ProjectionControl } from '../control/contract.ts'
import { isUnderWay } from '../control/machine.ts'
import type { Partition } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import type { EventLog } from '../log/contract.ts'
import type { Discarded, ViewStore } from '../projection/contract.ts'
import { owedAmong, takeOver } from '../projection/duty.ts'
import type { Projector, StepOutcome } from '../projection/projector.ts'
import type { Followed } from '../projection/runner.ts'
import { WithholdingView } from '../projection/withholding-view.ts'
import { ActiveView } from './active-view.ts'
import { PartBuilds } from './part-builds.ts'
import { fits, type Place, placesOf, placesOfStreams, type StartBuild, type ViewHouse } from './place.ts'

export interface UnitGenerationsOptions {
  readonly unit: ProjectionUnit
  readonly control: ControlStore
  readonly events: EventLog
  readonly house: ViewHouse
  /** Makes the projector of one generation of the unit. */
  projector(view: ViewStore, givenUp: (position: Position) => Discarded | undefined): Projector
  readonly startBuild: StartBuild
  readonly now: () => number
  readonly log: Logger
}

/** How long a generation that could not be moved is left alone, in milliseconds. */
const REST_MS = 1_000

/** A generation of the unit that this process keeps up to date. */
interface Member {
  readonly generation: number
  readonly store: ViewStore
  readonly projector: Projector
  givenUp: ReadonlyMap<Position, Discarded>
}

/**
 * All generations of one unit, as one thing to a runner: the active one, which serves and owes effects; the one that
 * is built and close to it; and the previous one, kept for a rollback. Every method takes its turn in the runner, so
 * that nothing moves while a generation comes, goes or takes over.
 *
 * The order of each step is what keeps a swap invisible to readers: who **leads** moves first, and the active
 * generation never goes beyond it. So whenever the swap is committed, by whichever process, the generation
 * that readers find afterwards is at least as far as the one they had.
 *
 * What the active generation does depends on no other one: one that cannot be opened or moved, e.g. because a document
 * of it is damaged, is left where it is, and leads no more.
 */
export class UnitGenerations implements Followed {
  readonly #options: UnitGenerationsOptions
  readonly #members = new Map<number, Member>()
  readonly #builds: PartBuilds
  /** Of the active generation, for those who send and decide. */
  readonly view: ActiveView
  /** As it was last read; what it says of who is followed holds from the next {@link reconcile} on. */
  #state: ProjectionControl | undefined
  #reconciled: ProjectionControl | undefined
  /** Generations that do not serve and could not be moved when that was tried last: when it is tried again. */
  readonly #failing = new Map<number, number>()
  /** Those that could not be opened. */
  readonly #unopened = new Set<number>()

  constructor(options: UnitGenerationsOptions) {
    this.#options = options
    this.view = new ActiveView(options.unit.name)
    this.#builds = new PartBuilds(options)
  }

  /** Brings what this process does in step with what the control store says. */
  async reconcile(): Promise<void> {
    if (!(await this.isStale())) return
    const state = await this.#takeTheLead()
    if (!state) return
    const active = state.generations.find((one) => one.state === 'active')
    this.view.pause(state.paused)
    await this.#activate(state, active)
    this.#state = state
    this.#unopened.clear()
    for (const generation of state.generations) await this.#keep(generation, active)
    for (const member of [...this.#members.values()]) {
      if (
        !state.generations.some(
          (one) => one.generation === member.generation && this.#isFollowed(one, active),
        )
      ) {
        await this.#leave(member)
      }
    }
    await this.#builds.reconcile(state, active)
    // Last, so that what failed is tried again.
    this.#reconciled = state
  }

  /** Whether {@link reconcile} has something to do. */
  async isStale(): Promise<boolean> {
    const { unit, control, now } = this.#options
    if (this.#builds.isUnnoted) return true
    if ([...this.#unopened].some((generation) => (this.#failing.get(generation) ?? 0) <= now())) return true
    return (await control.projection(unit.projection.name)) !== this.#reconciled
  }

  async position(): Promise<Position> {
    return (await this.#active()?.projector.position()) ?? 0
  }

  async step(): Promise<StepOutcome> {
    const state = this.#state
    const active = this.#active()
    if (!state || !active || state.paused) return 'at-head'
    const outcomes: StepOutcome[] = []
    let bound = Number.MAX_SAFE_INTEGER
    for (const generation of state.generations) {
      if (generation.generation === active.generation) continue
      const leads = generation.parts[this.#options.unit.partition.index]?.leading === true
      const member = this.#members.get(generation.generation)
      const comes = isUnderWay(generation.state) || generation.state === 'returning'
      if (!comes || generation.purpose === 'inspect') continue
      // It leads, and is not open yet: nobody may pass it.
      if (leads && !member) return 'at-head'
      if (!member) continue
      const moved = await this.#aside(generation.generation, async () => ({
        outcome: await member.projector.step(),
        position: await member.projector.position(),
      }))
      if (!moved) {
        if (leads) await this.#fallBehind(generation)
        // It was swapped in meanwhile: then it is the active one that fails.
        if (this.#active() !== active) return 'at-head'
        continue
      }
      const { outcome, position } = moved
      outcomes.push(outcome)
      if (leads) bound = Math.min(bound, position)
      else if (position >= (await active.projector.position())) {
        await this.#lead(generation.generation)
        bound = Math.min(bound, position)
      }
    }
    outcomes.push(await active.projector.step(bound))
    const upTo = await active.projector.position()
    for (const { generation, state: kept } of state.generations) {
      const member = kept === 'previous' ? this.#members.get(generation) : undefined
      if (member)
        outcomes.push((await this.#aside(generation, () => member.projector.step(upTo))) ?? 'at-head')
    }
    return outcomes.find((outcome) => outcome !== 'at-head') ?? 'at-head'
  }

  async retryDue(limit?: number): Promise<number> {
    if (this.#state?.paused) return 0
    const active = this.#active()
    const applied = (await active?.projector.retryDue(limit)) ?? 0
    for (const member of this.#members.values()) {
      if (member !== active) await this.#aside(member.generation, () => member.projector.retryDue(limit))
    }
    return applied
  }

  async redrive(position: Position): Promise<boolean> {
    return (await this.#active()?.projector.redrive(position)) ?? false
  }

  async retry(position: Position): Promise<number> {
    return (await this.#active()?.projector.retry(position)) ?? 0
  }

  /** Gives an event up in the active generation, and in the others if it is parked there as well. */
  async discard(position: Position, by: string, reason: string): Promise<boolean> {
    const active = this.#active()
    if (!active || !(await active.projector.discard(position, by, reason))) return false
    for (const member of this.#members.values()) {
      if (member === active) continue
      member.givenUp = await this.#givenUp(active.store)
      await this.#aside(member.generation, () => member.projector.discard(position, by, reason))
    }
    return true
  }

  /** Ends the builds and closes all views. */
  async close(): Promise<void> {
    await this.#builds.close()
    for (const member of this.#members.values()) await member.store.close()
    this.#members.clear()
  }

  #active(): Member | undefined {
    const active = this.#state?.generations.find(({ state }) => state === 'active')
    return active && this.#members.get(active.generation)
  }

  /** Sees to it that the active generation owes; this happens once for each swap, however often it is begun. */
  async #activate(state: ProjectionControl, active: Generation | undefined): Promise<void> {
    const { projection, partition } = this.#options.unit
    const settled = hasTakenOver(state, partition.index)
    if (!active || !fits(active, projection)) {
      await this.view.become(undefined)
      if (active) await this.#takeOverFrozen(state, active)
      return
    }
    const known = this.#members.get(active.generation)
    if (known && this.view.current === known.store && settled) return
    const place = { projection, generation: active.generation, version: active.version, partition }
    const member = known ?? this.#enter(place)
    await this.view.become(member.store, async () => {
      if (!settled) await this.#takeOver(state, partition, member.store)
    })
    // It holds the effects now, so that they are sent from there, whether or not this can be noted yet.
    if (!settled) await this.#noteTakeOver(state, active, partition)
    member.givenUp = await this.#givenUp(member.store)
  }

  /**
   * This code cannot move the active generation, but has to see to it that another one can take its place. If that is split
   * otherwise none of its parts is anybody's, and the first unit does it for all.
   */
  async #takeOverFrozen(state: ProjectionControl, active: Generation): Promise<void> {
    const { unit, house } = this.#options
    const isSplitAlike = active.partitions === unit.partition.count
    for (const place of placesOf(active, unit.projection)) {
      const { index } = place.partition
      const isOwn = isSplitAlike ? index === unit.partition.index : unit.partition.index === 0
      if (!isOwn || hasTakenOver(state, index)) continue
      const store = house.open(place)
      await this.#takeOver(state, place.partition, store).finally(() => store.close())
      await this.#noteTakeOver(state, active, place.partition)
    }
  }

  async #takeOver(state: ProjectionControl, partition: Partition, store: ViewStore): Promise<void> {
    const { unit, house, events, now } = this.#options
    const { projection } = unit
    const outgoing = state.generations.find(({ generation }) => generation === state.outgoing)
    if (!outgoing) return
    const { places, aligned } = placesOfStreams(outgoing, projection, partition)
    const opened = places.map((one) => ({ one, member: this.#memberAt(one) }))
    const parts = opened.map(({ one, member }) => member?.store ?? house.open(one))
    try {
      await takeOver(store, { parts, aligned, partition, log: events, swap: state.swaps, now: now() })
    } finally {
      for (const [index, { member }] of opened.entries()) if (!member) await parts[index]?.close()
    }
    reached('effects-taken-over', projection.name)
  }

  async #noteTakeOver(
    { swaps, outgoing: from }: ProjectionControl,
    active: Generation,
    partition: Partition,
  ) {
    const { unit, control, log } = this.#options
    const { name } = unit.projection
    await control.tookOver(name, partition.index, swaps)
    reached('takeover-noted', name)
    log.info({ generation: active.generation, from }, 'another generation is active')
  }

  async #keep(generation: Generation, active: Generation | undefined): Promise<void> {
    if (this.#members.has(generation.generation) || !this.#isFollowed(generation, active)) return
    const { projection, partition } = this.#options.unit
    const place = { projection, generation: generation.generation, version: generation.version, partition }
    const member = await this.#aside(generation.generation, async () => this.#enter(place))
    const owing = this.#members.get((active as Generation).generation)?.store
    if (member && owing) member.givenUp = await this.#givenUp(owing)
    if (member) return
    this.#unopened.add(generation.generation)
    if (generation.parts[partition.index]?.leading) await this.#fallBehind(generation)
  }

  /** Whether a generation, besides the active one, moves with it in this process. */
  #isFollowed(generation: Generation, active: Generation | undefined): boolean {
    const { projection, partition } = this.#options.unit
    if (!active || !fits(generation, projection) || !fits(active, projection)) return false
    if (['active', 'previous', 'returning'].includes(generation.state)) return true
    const built = generation.parts[partition.index]?.phase === 'following'
    return built && generation.purpose !== 'inspect' && isUnderWay(generation.state)
  }

  #enter(place: Place): Member {
    const { house, events, projector } = this.#options
    const store = house.open(place)
    // Who owes is asked for each time: it changes with a swap.
    const view = new WithholdingView(store, async (positions) => {
      const owing = this.view.current
      if (!owing) return new Set(positions)
      return owing === store ? 'self' : owedAmong(positions, [owing], events)
    })
    const member: Member = {
      generation: place.generation,
      store,
      projector: projector(view, (position) => member.givenUp.get(position)),
      givenUp: new Map(),
    }
    this.#members.set(place.generation, member)
    return member
  }

  async #leave(member: Member): Promise<void> {
    this.#members.delete(member.generation)
    await member.store.close()
  }

  #memberAt({ generation, partition }: Place): Member | undefined {
    const own = this.#options.unit.partition
    const isOwn = partition.count === own.count && partition.index === own.index
    return isOwn ? this.#members.get(generation) : undefined
  }

  async #givenUp(active: ViewStore): Promise<Map<Position, Discarded>> {
    return new Map((await active.discarded()).map((discarded) => [discarded.event.position, discarded]))
  }

  /**
   * Does something with a generation that does not serve. That it fails is said once, until it succeeds, and what has failed is
   * left alone for a while, so that it takes little from what serves.
   *
   * @returns undefined if it failed
   */
  async #aside<Result>(generation: number, act: () => Promise<Result>): Promise<Result | undefined> {
    const { now, log } = this.#options
    const againAt = this.#failing.get(generation)
    if (againAt !== undefined && now() < againAt) return undefined
    try {
      const result = await act()
      this.#failing.delete(generation)
      return result
    } catch (error) {
      const message = 'A generation that does not serve could not be brought up to date; what serves goes on'
      if (againAt === undefined) log.error({ err: error, generation }, message)
      this.#failing.set(generation, now() + REST_MS)
      return undefined
    }
  }

  /** A generation cannot be moved before the active one at the moment; once that is noted it may be passed. */
  async #fallBehind({ generation, state }: Generation): Promise<void> {
    const { unit, control } = this.#options
    await control.fallBehind(unit.projection.name, generation, [unit.partition.index])
    this.#state = await control.projection(unit.projection.name)
    const member = this.#members.get(generation)
    // It is built further, by a thread of its own.
    if (member && isUnderWay(state) && member !== this.#active()) await this.#leave(member)
  }

  async #lead(generation: number): Promise<void> {
    const { unit, control } = this.#options
    const beside = this.#active()?.generation
    if (beside === undefined) return
    await control.lead(unit.projection.name, generation, unit.partition.index, beside)
    this.#state = await control.projection(unit.projection.name)
  }

  /**
   * The active generation is moved by this process from now on, and one that other code has made lead is not: it falls
   * behind, before anything moves. That code goes on with it when it has the units again.
   *
   * @returns what the control store says then
   */
  async #takeTheLead(): Promise<ProjectionControl | undefined> {
    const { unit, control } = this.#options
    const { projection, partition } = unit
    const state = await control.projection(projection.name)
    const active = state?.generations.find((one) => one.state === 'active')
    if (!state || !active || !fits(active, projection)) return state
    for (const generation of state.generations) {
      if (!isUnderWay(generation.state) || fits(generation, projection)) continue
      const isSplitAlike = generation.partitions === partition.count
      const passed = generation.parts.filter(
        (part) => part.leading && (!isSplitAlike || part.partition === partition.index),
      )
      if (passed.length === 0) continue
      const partitions = passed.map((part) => part.partition)
      await control.fallBehind(projection.name, generation.generation, partitions)
    }
    return control.projection(projection.name)
  }
}

/** Whether a part of the active generation has taken over what the one before it owed. */
function hasTakenOver({ swaps, takenOver }: ProjectionControl, partition: number): boolean {
  return swaps === 0 || takenOver.get(partition) === swaps
}
