import type { Logger } from 'pino'
import { reached } from '../boundaries.ts'
import type { ControlStore, Generation, ProjectionControl } from '../control/contract.ts'
import type { Partition } from '../kernel/partition.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import type { EventLog } from '../log/contract.ts'
import type { ViewStore } from '../projection/contract.ts'
import { readEstate } from '../projection/damage.ts'
import type { Estate } from '../projection/duty.ts'
import { type TakeOverRequest, takeOver } from '../projection/take-over.ts'
import { type Place, placesOf, placesOfStreams, type ViewStorage } from './place.ts'

export interface HandoverOptions {
  readonly unit: ProjectionUnit
  readonly control: ControlStore
  readonly events: EventLog
  readonly storage: ViewStorage
  readonly now: () => number
  readonly log: Logger
  /** See {@link TakeOverRequest.atOnce}. */
  readonly takeOverAtOnce?: number
}

/** Stands for what a part leaves, if it cannot be read and no effect can be lost by that. */
const NOTHING: Estate = {
  duty: async () => ({ position: 0, parked: new Set() }),
  effectsBefore: async () => [],
  assertNoMoreEffectsThan: async () => undefined,
  discardedAfter: async () => [],
}

/**
 * Lets the parts of a unit's active generation take over from the generation that was active before; see
 * ../projection/duty.ts.
 */
export class Handover {
  readonly #options: HandoverOptions

  constructor(options: HandoverOptions) {
    this.#options = options
  }

  /**
   * Lets a part take over what the generation before it owed. However often it is begun, it has its effect once for
   * each swap. The caller {@link note}s it afterwards.
   *
   * @param opened gives the store of a part that is open already
   * @throws CqrsError CQRS_STORE_CORRUPT if a reactor's part is damaged: effects would be lost
   */
  async takeOver(
    state: ProjectionControl,
    partition: Partition,
    store: ViewStore,
    opened: (place: Place) => ViewStore | undefined = () => undefined,
  ): Promise<void> {
    const { unit, events, now, takeOverAtOnce: atOnce } = this.#options
    const { projection } = unit
    const outgoing = state.generations.find(({ generation }) => generation === state.outgoing)
    if (!outgoing) return
    const { places, aligned } = placesOfStreams(outgoing, projection, partition)
    const take = async () => {
      // A part that begins with the first event records all effects itself: nothing can be lost.
      const owesAll = (await store.checkpoint()).position === 0
      const parts = places.map((place) => this.#estateOf(place, opened(place), owesAll))
      const request = { projection: projection.name, parts, aligned, partition, log: events, atOnce }
      try {
        await takeOver(store, { ...request, swap: state.swaps, now: now() })
      } finally {
        for (const part of parts) await part.close()
      }
    }
    // A damaged part takes over nothing, and its successor need not wait for that.
    await readEstate(projection.kind, take, undefined)
    reached('effects-taken-over', projection.name)
  }

  async note({ swaps, outgoing: from }: ProjectionControl, active: Generation, partition: Partition) {
    const { unit, control, log } = this.#options
    const { name } = unit.projection
    await control.tookOver(name, partition.index, swaps)
    reached('takeover-noted', name)
    log.info({ generation: active.generation, from }, 'another generation is active')
  }

  /**
   * Takes over for an active generation that this code cannot advance, so that another one can replace it. If the
   * active generation is split differently, no unit owns its parts, and the first unit does this for all of them.
   */
  async takeOverFrozen(state: ProjectionControl, active: Generation): Promise<void> {
    const { unit, storage } = this.#options
    const isSplitAlike = active.partitions === unit.partition.count
    for (const place of placesOf(active, unit.projection)) {
      const { index } = place.partition
      const isOwn = isSplitAlike ? index === unit.partition.index : unit.partition.index === 0
      if (!isOwn || hasTakenOver(state, index)) continue
      const frozen = await readEstate(unit.projection.kind, () => storage.open(place), undefined)
      if (frozen) await this.takeOver(state, place.partition, frozen).finally(() => frozen.close())
      await this.note(state, active, place.partition)
    }
  }

  /**
   * Notes that a part that cannot be opened has taken over: a view without effects owes none. For a reactor this is not
   * noted, because what it had to take over would be lost.
   */
  async passOver(state: ProjectionControl, active: Generation, partition: Partition): Promise<void> {
    const { projection } = this.#options.unit
    if (projection.kind === 'reactor' || hasTakenOver(state, partition.index)) return
    await this.note(state, active, partition)
  }

  /** @param opened the store if it is open already; it stays open. Otherwise it is opened when it is read */
  #estateOf(place: Place, opened: ViewStore | undefined, owesAll: boolean) {
    const { unit, storage, log } = this.#options
    let own: ViewStore | undefined
    let isLost = false
    const read = async <Result>(ask: (estate: Estate) => Promise<Result>): Promise<Result> => {
      const attempt = async () => {
        own ??= opened ? undefined : storage.open(place, { mustExist: true })
        return { found: await ask(opened ?? (own as ViewStore)) }
      }
      const kind = owesAll ? 'projection' : unit.projection.kind
      const result = isLost ? undefined : await readEstate(kind, attempt, undefined)
      if (result) return result.found
      if (!isLost) {
        log.warn(
          { generation: place.generation },
          'The previous generation cannot be read; what operators discarded there is tried again',
        )
      }
      isLost = true
      return ask(NOTHING)
    }
    return {
      duty: (among) => read((estate) => estate.duty(among)),
      effectsBefore: (...page) => read((estate) => estate.effectsBefore(...page)),
      assertNoMoreEffectsThan: (count) => read((estate) => estate.assertNoMoreEffectsThan(count)),
      discardedAfter: (...page) => read((estate) => estate.discardedAfter(...page)),
      close: async () => own?.close(),
    } satisfies Estate & { close(): Promise<void> }
  }
}

/** Whether a part of the active generation has taken over what the one before it owed. */
export function hasTakenOver({ swaps, takenOver }: ProjectionControl, partition: number): boolean {
  return swaps === 0 || takenOver.get(partition) === swaps
}
