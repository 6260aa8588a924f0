import type { Logger } from 'pino'
import { reached } from '../boundaries.ts'
import { activeOf, type ControlStore, type Generation, type ProjectionControl } from '../control/contract.ts'
import { isUnderWay, losesItsFiles } from '../control/machine.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { ProjectionDefinition } from '../kernel/projection.ts'
import type { ParityReport } from '../projection/parity.ts'
import { fits, type Place, placesOf, type ViewStorage } from './place.ts'
import { verdictOn } from './verdict.ts'

export interface CoordinatorOptions {
  readonly projection: ProjectionDefinition
  readonly control: ControlStore
  readonly storage: ViewStorage
  /** Compares two generations, at the same position if both come to one. */
  compare(before: readonly Place[], after: readonly Place[]): Promise<ParityReport>
  readonly log: Logger
}

/** How many calls of {@link Coordinator.reconcile} at most pass between two comparisons while comparisons fail. */
const MOST_REST = 64

/**
 * Decides for a projection as a whole, in the process that owns its first unit: on a rebuild because the code has
 * changed, on the comparison, on the swap. It holds no state that matters: its successor reads the control store and
 * goes on.
 */
export class Coordinator {
  readonly #options: CoordinatorOptions
  #comparing: number | undefined
  /**
   * How many comparisons failed in a row, why the last one did, and how many calls have to pass before the next one.
   */
  #failed = { times: 0, reason: '', rest: 0 }
  #at: ProjectionControl | undefined
  /** The generation that serves frozen, if that was logged. */
  #toldFrozen: number | undefined

  constructor(options: CoordinatorOptions) {
    this.#options = options
  }

  /** Does everything that can be done by now; is called often. */
  async reconcile(): Promise<void> {
    const { projection, control } = this.#options
    const state = await control.projection(projection.name)
    if (!state || state === this.#at) return
    const active = activeOf(state)
    if (!active) return
    await this.#followTheCode(state, active)
    let waits = false
    for (const generation of state.generations) {
      const outcome = await this.#advance(generation, active)
      // The swap has changed the others, so what was read of them is out of date.
      if (outcome === 'swapped') return
      waits ||= outcome === 'waits'
    }
    if (!waits) this.#at = state
  }

  /**
   * If the code is newer than the serving generation, or splits it differently, requests a rebuild, once. A generation
   * that was rolled back from is left alone: if it fits the code, is `previous` and is later than the serving one, it
   * is there because an operator wanted the other one.
   *
   * A build that other code has begun is cancelled if it is of this version or an older one, because code with another
   * split is not at work (unit-locks.ts) and may never be again. If that code takes over the units, it cancels the
   * build of this one in turn; the two never do so to each other at the same time. A build of later code waits for that
   * code. But if this code cannot advance the serving generation either, a later build that is to serve is cancelled,
   * too: otherwise the view would stand still for as long as it waits.
   */
  async #followTheCode(state: ProjectionControl, active: Generation): Promise<void> {
    const { projection, control, log } = this.#options
    const { name, version, partitions } = projection
    const rebuilds = !fits(active, projection) && !isOlder(projection, state)
    for (const generation of state.generations) {
      const strange = isUnderWay(generation.state) && !fits(generation, projection)
      const isInTheWay = rebuilds && generation.purpose === 'serve'
      if (strange && (generation.version <= version || isInTheWay))
        await control.move(name, generation.generation, 'cancelling')
    }
    if (!rebuilds) return
    const known = state.generations.find((one) => fits(one, projection) && isAnswer(one, active))
    if (known) return this.#tellIfRolledBack(known, active)
    await control.request({ projection: name, version, partitions, purpose: 'serve', by: 'cqrs' })
    log.info(
      { version, partitions, servedVersion: active.version },
      'the code defines another version of this view than the active one; rebuilding the view',
    )
  }

  /** Says why a frozen view is not rebuilt; once, until another generation serves. */
  #tellIfRolledBack({ generation, state, version }: Generation, active: Generation): void {
    const { name } = this.#options.projection
    if (state !== 'previous' || this.#toldFrozen === active.generation) return
    this.#toldFrozen = active.generation
    this.#options.log.warn(
      { generation, version, servedVersion: active.version },
      `Generation ${active.generation} of ${name} serves and stands still: it belongs to other code, and an operator went back to it ` +
        `from generation ${generation}, which belongs to this code. So the view is not rebuilt by itself. Start the code that it ` +
        `belongs to; or run "cqrs rebuild ${name}"`,
    )
  }

  /** @returns `waits` if it waits for something that the control store will not show */
  async #advance(generation: Generation, active: Generation): Promise<'done' | 'waits' | 'swapped'> {
    const { projection, control, log } = this.#options
    const { state, purpose, parts, report } = generation
    const verdict = state === 'ready' && report ? verdictOn(generation, report, projection) : undefined
    const move = (to: 'ready' | 'side' | 'verified' | 'failed', error?: string) =>
      control.move(projection.name, generation.generation, to, error === undefined ? {} : { error })
    if (state === 'building' && purpose === 'inspect') {
      if (parts.every(({ phase }) => phase === 'following')) await move('side')
    } else if (state === 'building') {
      if (parts.every(({ leading }) => leading) && (await move('ready'))) {
        reached('generation-ready', projection.name)
      }
    } else if (state === 'ready' && !report) {
      this.#compare(generation, active)
      return 'waits'
    } else if (verdict && verdict.kind !== 'swap') {
      await move(verdict.kind, verdict.kind === 'failed' ? verdict.error : undefined)
    } else if (state === 'ready' || state === 'returning') {
      const { kind } = await control.swap(projection.name, generation.generation)
      if (kind !== 'swapped') return kind === 'not-yet' ? 'waits' : 'done'
      reached('generation-swapped', projection.name)
      log.info({ generation: generation.generation, was: state }, 'a generation was swapped in')
      return 'swapped'
    } else if (losesItsFiles(state)) {
      await this.#removeStrange(generation)
    }
    return 'done'
  }

  /** Starts the comparison, unless it is running or has to wait after one that failed. */
  #compare(generation: Generation, active: Generation): void {
    const { projection, control, compare } = this.#options
    if (this.#comparing === generation.generation) return
    if (this.#failed.rest > 0) {
      this.#failed.rest -= 1
      return
    }
    this.#comparing = generation.generation
    compare(placesOf(active, projection), placesOf(generation, projection))
      .then((report) => control.report(projection.name, generation.generation, report, active.generation))
      .then(() => {
        this.#failed = { times: 0, reason: '', rest: 0 }
      })
      .catch((error) => this.#comparisonFailed(error))
      .finally(() => {
        this.#comparing = undefined
      })
  }

  /** The comparison will be tried again, after more calls each time. The same reason is logged only once in a row. */
  #comparisonFailed(error: unknown): void {
    const reason = String(error)
    if (reason !== this.#failed.reason)
      this.#options.log.error({ err: error }, 'The generations could not be compared; trying again')
    const times = this.#failed.times + 1
    this.#failed = { times, reason, rest: Math.min(2 ** times, MOST_REST) }
  }

  /**
   * Removes the parts of a generation that is split differently, so that no unit of this code is responsible for them.
   */
  async #removeStrange(generation: Generation): Promise<void> {
    const { projection, control, storage } = this.#options
    if (generation.partitions === projection.partitions) return
    for (const place of placesOf(generation, projection)) {
      const { index } = place.partition
      // A verified generation stays in the control store without files. When it is pruned, it is forgotten with its
      // last part.
      if (generation.state === 'verified' && generation.parts[index]?.phase === 'gone') continue
      await storage.remove(place)
      await control.gone(projection.name, generation.generation, index)
    }
  }
}

/**
 * Whether a generation that fits the code makes a rebuild unnecessary: it serves, is on its way, has failed, is being
 * removed, or was rolled back from.
 */
function isAnswer({ state, generation }: Generation, active: Generation): boolean {
  if (state === 'previous') return generation > active.generation
  return state !== 'retired' && state !== 'verified' && state !== 'side'
}

/** Whether the serving generation is of a later version than the code. */
export function isOlder({ version }: ProjectionDefinition, state: ProjectionControl | undefined): boolean {
  const active = activeOf(state)
  return active !== undefined && active.version > version
}

/**
 * Refuses code that is older than the view: its handlers cannot go on from documents of a later version.
 *
 * @throws CqrsError CQRS_VIEW_NEWER that says what to do
 */
export function assertNotOlder(state: ProjectionControl, projection: ProjectionDefinition): void {
  const active = activeOf(state)
  if (!active || !isOlder(projection, state)) return
  const { name, version } = projection
  throw new CqrsError(
    'CQRS_VIEW_NEWER',
    `The view ${name} is served in version ${active.version}, but the app defines version ${version}. Run the app that ` +
      `has version ${active.version}; or, while that one runs, go back with "cqrs rollback ${name} --force"; or give ` +
      `this fold version ${active.version + 1}, so that the view is rebuilt.`,
  )
}
