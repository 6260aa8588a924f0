import { activeOf, type Generation, type ProjectionControl } from '../control/contract.ts'
import { isComing, isUnderWay } from '../control/machine.ts'
import type { Position } from '../kernel/position.ts'
import type { ViewStore } from '../projection/contract.ts'
import { damageOf, unlessDamaged, type ViewDamage } from '../projection/damage.ts'
import { owedAmong } from '../projection/duty.ts'
import { discardedIn, type GivenUp, givenUpIn } from '../projection/given-up.ts'
import type { Projector, ProjectorOptions, StepOutcome } from '../projection/projector.ts'
import type { Followed } from '../projection/runner.ts'
import { WithholdingView } from '../projection/withholding-view.ts'
import { ActiveView } from './active-view.ts'
import { Damages } from './damages.ts'
import { Handover, type HandoverOptions, hasTakenOver } from './handover.ts'
import { PartBuilds } from './part-builds.ts'
import { fits, type Place, placeOf, type StartBuild } from './place.ts'
import { stepBeside } from './step-beside.ts'
import { takeTheLead } from './take-the-lead.ts'

export interface UnitGenerationsOptions extends HandoverOptions {
  /** Makes the projector of one generation of the unit; `serves` says whether that is the active one at the moment. */
  projector(view: ViewStore, givenUp: ProjectorOptions['givenUp'], serves: () => boolean): Projector
  readonly startBuild: StartBuild
}

/** How long a generation that could not be advanced is left alone, in milliseconds. */
const REST_MS = 1_000

/** A generation of the unit that this process keeps up to date. */
interface Member {
  readonly generation: number
  readonly file: string
  readonly store: ViewStore
  readonly projector: Projector
}

/**
 * All generations of one unit, which a runner sees as one: the active one, which serves and owes effects; the one that
 * is built and close to it; and the previous one, kept for a rollback. Every method takes its turn in the runner, so
 * that nothing advances while a generation comes, goes or takes over.
 *
 * The order within each step keeps a swap invisible to readers: the generation that **leads** advances first, and the
 * active one never goes beyond it. So whenever the swap is committed, by whichever process, the generation that readers
 * find afterwards is at least as far as the one before.
 *
 * The active generation does not depend on the others: if one of them cannot be opened or advanced, it is left where it
 * is and leads no more; if it is damaged, it is given up. A damaged active one stands still until it is replaced.
 */
export class UnitGenerations implements Followed {
  readonly #options: UnitGenerationsOptions
  readonly #members = new Map<number, Member>()
  readonly #builds: PartBuilds
  readonly #handover: Handover
  readonly #damages: Damages
  /** The view of the active generation, for those who send effects and decide on letters. */
  readonly view: ActiveView
  /** The control state as last read. Which generations are followed changes only with the next {@link reconcile}. */
  #state: ProjectionControl | undefined
  #reconciled: ProjectionControl | undefined
  /** Generations that do not serve and could not be advanced at the last try, and when they are tried again. */
  readonly #failing = new Map<number, number>()
  /** Generations that could not be opened. */
  readonly #unopened = new Set<number>()
  /**
   * Whether the active generation cannot take over what the one before it owed. If anything advanced, that would be
   * lost.
   */
  #isHeldUp = false

  constructor(options: UnitGenerationsOptions) {
    this.#options = options
    this.view = new ActiveView(options.unit.name)
    this.#damages = new Damages(options)
    this.#builds = new PartBuilds(options, this.#damages)
    this.#handover = new Handover(options)
  }

  /** Brings what this process does in step with the control store. If it fails, the next call does all of it again. */
  async reconcile(): Promise<void> {
    if (!(await this.isStale())) return
    this.#reconciled = undefined
    await this.#leaveReplaced()
    const state = await takeTheLead(this.#options)
    if (!state) return
    const active = activeOf(state)
    this.view.pause(state.paused)
    await this.#activate(state, active)
    this.#state = state
    this.#unopened.clear()
    for (const generation of state.generations) await this.#keep(generation, active)
    for (const member of [...this.#members.values()]) {
      const found = state.generations.find((one) => one.generation === member.generation)
      if (!found || !this.#isFollowed(found, active)) await this.#leave(member)
    }
    await this.#builds.reconcile(state, active)
    this.#reconciled = state
  }

  /** Whether {@link reconcile} has something to do. */
  async isStale(): Promise<boolean> {
    const { unit, control, now } = this.#options
    if (this.#builds.isUnnoted || this.#replaced().length > 0) return true
    if ([...this.#unopened].some((generation) => (this.#failing.get(generation) ?? 0) <= now())) return true
    return (await control.projection(unit.projection.name)) !== this.#reconciled
  }

  async position(): Promise<Position> {
    return (await this.#served()) ?? 0
  }

  /** How far the active generation is behind a position; 0 if nothing advances it, so that nobody makes room for it. */
  async lagAt(position: Position): Promise<number> {
    const serving = this.#active()
    const stands =
      this.#state?.paused || this.#isHeldUp || !serving || this.#damages.isKnown(serving.generation)
    return stands ? 0 : Math.max(0, position - (await this.position()))
  }

  async step(): Promise<StepOutcome> {
    const { projection, partition } = this.#options.unit
    const state = this.#state
    const active = activeOf(state)
    const serving = this.#active()
    if (!state || !active || state.paused || this.#isHeldUp) return 'at-head'
    // It is of another version, so nobody advances it.
    if (!serving && !this.#damages.isKnown(active.generation)) return 'at-head'
    const outcomes: StepOutcome[] = []
    let bound = Number.MAX_SAFE_INTEGER
    for (const generation of state.generations) {
      const leads = generation.parts[partition.index]?.leading === true
      const member = this.#members.get(generation.generation)
      if (!isComing(generation.state) || generation.purpose === 'inspect') continue
      // It leads but is not open yet: nobody may pass it.
      if (leads && !member) return 'at-head'
      if (!member) continue
      const served = await this.#served()
      const awaited = leads || this.#damages.isKnown(active.generation) ? undefined : served
      const step = () => stepBeside(projection.kind, member.projector, awaited)
      const moved = await this.#aside(generation.generation, step)
      if (!moved) {
        if (leads) await this.#fallBehind(generation)
        // If it was swapped in meanwhile, the one that failed is the active one now.
        if (this.#active() !== serving) return 'at-head'
        continue
      }
      const { waits, outcome, position } = moved
      outcomes.push(outcome)
      if (leads) bound = Math.min(bound, position)
      else if (served === undefined ? outcome === 'at-head' : !waits && position >= served) {
        await this.#lead(generation.generation, active.generation)
        bound = Math.min(bound, position)
      }
    }
    if (serving) {
      outcomes.push((await this.#unlessDamaged(serving, () => serving.projector.step(bound))) ?? 'at-head')
    }
    const upTo = (await this.#served()) ?? 0
    for (const { generation, state: kept } of state.generations) {
      const member = kept === 'previous' ? this.#members.get(generation) : undefined
      if (member)
        outcomes.push((await this.#aside(generation, () => member.projector.step(upTo))) ?? 'at-head')
    }
    return outcomes.find((outcome) => outcome !== 'at-head') ?? 'at-head'
  }

  async retryDue(): Promise<number> {
    if (this.#state?.paused || this.#isHeldUp) return 0
    const serving = this.#active()
    const applied = serving && (await this.#unlessDamaged(serving, () => serving.projector.retryDue()))
    for (const member of this.#members.values()) {
      if (member !== serving) await this.#aside(member.generation, () => member.projector.retryDue())
    }
    return applied ?? 0
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
    const active = activeOf(this.#state)
    return active && this.#members.get(active.generation)
  }

  /** The position of the active generation; undefined if it cannot be read. */
  async #served(): Promise<Position | undefined> {
    const serving = this.#active()
    return serving && this.#unlessDamaged(serving, () => serving.projector.position())
  }

  /**
   * Does something with the active generation. Damage is not passed on to the caller: it is reported once, and the
   * generation stands still.
   *
   * @returns undefined if it is damaged
   */
  async #unlessDamaged<Result>(serving: Member, act: () => Promise<Result>): Promise<Result | undefined> {
    const { damage, error, result } = await unlessDamaged(act)
    if (damage) await this.#damages.note(serving.generation, error)
    return result
  }

  /** Makes the active generation owe the effects. However often it is begun, this happens once for each swap. */
  async #activate(state: ProjectionControl, active: Generation | undefined): Promise<void> {
    const { projection, partition } = this.#options.unit
    const settled = hasTakenOver(state, partition.index)
    if (!active || !fits(active, projection)) {
      await this.view.become(undefined)
      if (active) await this.#orHoldUp(active, () => this.#handover.takeOverFrozen(state, active))
      return
    }
    const known = this.#members.get(active.generation)
    if (known && this.view.current === known.store && settled) return
    const opened = await unlessDamaged(() => known ?? this.#enter(placeOf(this.#options.unit, active)))
    if (opened.damage) {
      this.view.becomeDamaged(opened.error)
      await this.#damages.note(active.generation, opened.error)
      return this.#handover.passOver(state, active, partition)
    }
    const { store } = opened.result
    const takeOver = async () => {
      if (!settled) await this.#handover.takeOver(state, partition, store, (place) => this.#openAt(place))
    }
    if (!(await this.#orHoldUp(active, () => this.view.become(store, takeOver)))) return
    await this.#damages.forget(active.generation)
    // The active generation holds the effects now, so they are sent from there even if this cannot be noted yet.
    if (!settled) await this.#handover.note(state, active, partition)
  }

  /**
   * @returns false if the active generation finds damage when it takes over; then nothing advances until that is gone
   */
  async #orHoldUp(active: Generation, takeOver: () => Promise<void>): Promise<boolean> {
    const { damage, error } = await unlessDamaged(takeOver)
    this.#isHeldUp = damage !== undefined
    if (!damage) return true
    const lost = this.#damages.lostTakeOver(active, damage, error)
    this.view.becomeDamaged(lost)
    await this.#damages.note(active.generation, lost)
    return false
  }

  async #keep(generation: Generation, active: Generation | undefined): Promise<void> {
    if (this.#members.has(generation.generation) || !this.#isFollowed(generation, active)) return
    // An active generation that is no member is damaged, which has been reported.
    if (generation.generation === active?.generation) return
    const { unit } = this.#options
    const { projection, partition } = unit
    const place = placeOf(unit, generation)
    const position = await this.#aside(place.generation, () =>
      this.#enter(place, { mustExist: true }).projector.position(),
    )
    if (position === undefined) this.#unopened.add(generation.generation)
    if (!generation.parts[partition.index]?.leading) return
    const served = await this.#served()
    const beginsAnew = served === 0 && projection.kind === 'reactor'
    // Its file may be older than the one with which it led: a copy was put back, or a power cut undid its last commits.
    if (beginsAnew || (position ?? -1) < (served ?? 0)) await this.#fallBehind(generation)
  }

  /** Whether this process advances a generation together with the active one. */
  #isFollowed(generation: Generation, active: Generation | undefined): boolean {
    const { projection, partition } = this.#options.unit
    if (!active || !fits(generation, projection) || !fits(active, projection)) return false
    if (['active', 'previous', 'returning'].includes(generation.state)) return true
    const built = generation.parts[partition.index]?.phase === 'following'
    return built && generation.purpose !== 'inspect' && isUnderWay(generation.state)
  }

  #enter(place: Place, options: { mustExist?: boolean } = {}): Member {
    const { storage, events, projector } = this.#options
    const store = storage.open(place, options)
    // Looked up each time, because who owes changes with a swap.
    const view = new WithholdingView(store, async (positions) => {
      const owing = this.view.current
      if (!owing) return new Set(positions)
      return owing === store ? 'self' : owedAmong(positions, [owing], events)
    })
    const serves = () => this.view.current === store
    // Its own store is asked as well: it may have taken over discards of events that it has not reached yet.
    const givenUp: GivenUp = (positions) => {
      const stores = new Set([store, this.#active()?.store ?? store])
      return givenUpIn([...stores].map((each) => (among) => discardedIn(each, among)))(positions)
    }
    const [generation, file] = [place.generation, storage.file(place)]
    const member = { generation, file, store, projector: projector(view, givenUp, serves) }
    this.#members.set(generation, member)
    return member
  }

  async #leave(member: Member): Promise<void> {
    this.#members.delete(member.generation)
    await member.store.close()
  }

  /** The generations whose file was removed, or another one put in its place, since this process opened it. */
  #replaced(): Member[] {
    return [...this.#members.values()].filter(({ store }) => store.isReplaced())
  }

  /**
   * Lets go of such generations, to open them again like at a start: a missing active one is made from the log. One that
   * leads may be behind now, or may have left effects to the active one (see stepBeside): it must not be swapped in.
   */
  async #leaveReplaced(): Promise<void> {
    const { projection, partition } = this.#options.unit
    for (const member of this.#replaced()) {
      const { generation, file, store } = member
      this.#damages.tellReplaced(generation, file)
      const isActive = this.view.current === store
      for (const one of this.#state?.generations ?? []) {
        const isMeant = one.generation === generation || (isActive && projection.kind === 'reactor')
        if (isMeant && one.parts[partition.index]?.leading) await this.#fallBehind(one)
      }
      if (isActive) await this.view.become(undefined)
      // Closed before it is opened again: SQLite must not have two stores of one name open in one process.
      if (this.#members.has(generation)) await this.#leave(member)
    }
  }

  #openAt({ generation, partition }: Place): ViewStore | undefined {
    const own = this.#options.unit.partition
    const isOwn = partition.count === own.count && partition.index === own.index
    return isOwn ? this.#members.get(generation)?.store : undefined
  }

  /**
   * Does something with a generation that does not serve. A failure is logged once until something succeeds, and then
   * the generation is left alone for a while, so that it takes little from the serving one. A damaged one is given up.
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
      const damage = damageOf(error)
      const message =
        'A generation that is not active could not be brought up to date; the active one is not affected'
      if (damage) await this.#giveUp(generation, damage)
      else if (againAt === undefined) log.error({ err: error, generation }, message)
      this.#failing.set(generation, now() + REST_MS)
      return undefined
    }
  }

  async #giveUp(generation: number, damage: ViewDamage): Promise<void> {
    const { unit, control } = this.#options
    const found = this.#state?.generations.find((one) => one.generation === generation)
    if (!found) return
    await this.#damages.giveUp(found, placeOf(unit, found), damage)
    this.#state = await control.projection(unit.projection.name)
  }

  /** Notes that a generation cannot be advanced ahead of the active one at the moment; after that, it may be passed. */
  async #fallBehind({ generation, state }: Generation): Promise<void> {
    const { unit, control } = this.#options
    await control.fallBehind(unit.projection.name, generation, [unit.partition.index])
    this.#state = await control.projection(unit.projection.name)
    const member = this.#members.get(generation)
    // A thread of its own goes on building it.
    if (member && isUnderWay(state) && member !== this.#active()) await this.#leave(member)
  }

  async #lead(generation: number, beside: number): Promise<void> {
    const { unit, control } = this.#options
    await control.lead(unit.projection.name, generation, unit.partition.index, beside)
    this.#state = await control.projection(unit.projection.name)
  }
}
