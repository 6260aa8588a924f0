import { activeOf, type ControlStore, type Generation } from '../control/contract.ts'
import { losesItsFiles } from '../control/machine.ts'
import type { App } from '../kernel/app.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { ProjectionDefinition } from '../kernel/projection.ts'
import type { ReadableView } from '../projection/contract.ts'
import { type QueriedView, wholeView } from '../projection/partitioned-view.ts'
import { type Place, placesOf } from './place.ts'

export interface ViewReadersOptions {
  readonly app: App
  readonly control: ControlStore
  open(place: Place): ReadableView
}

/** One generation of a view, open for reading. */
export interface ReadableGeneration {
  readonly generation: Generation
  /** All parts as one. */
  readonly view: QueriedView
  readonly parts: readonly ReadableView[]
}

interface Opened extends ReadableGeneration {
  /** How many readers use it at the moment. */
  readers: number
}

/**
 * Opens views for reading, in any process. Each use reads one generation from beginning to end: the one that
 * is active when it begins, unless another one is named. The active one stays open for the next reader; any other
 * is closed when its last reader is done, so that nobody holds on to files that are pruned.
 */
export class ViewReaders {
  readonly #options: ViewReadersOptions
  readonly #opened = new Map<string, Map<number, Opened>>()
  /** Generations whose files were replaced because the view was begun again; kept as long as somebody reads them. */
  readonly #replaced = new Set<Opened>()

  constructor(options: ViewReadersOptions) {
    this.#options = options
  }

  /**
   * @param projection its name
   * @param generation its number; the active one if left out
   * @throws CqrsError CQRS_UNKNOWN_PROJECTION; CQRS_NOT_FOUND if there is no such generation, or not all of it is there
   */
  async use<Result>(
    projection: string,
    read: (generation: ReadableGeneration) => Promise<Result>,
    generation?: number,
  ): Promise<Result> {
    const { opened, active } = await this.#enter(findProjection(this.#options.app, projection), generation)
    try {
      return await read(opened)
    } finally {
      opened.readers -= 1
      await this.#closeUnused(projection, active)
    }
  }

  async close(): Promise<void> {
    const opened = [...this.#opened.values()].flatMap((generations) => [...generations.values()])
    opened.push(...this.#replaced)
    this.#opened.clear()
    this.#replaced.clear()
    for (const { parts } of opened) for (const part of parts) await part.close()
  }

  /**
   * Opens the generation to be read, for one more reader. If its files are missing, either they were removed since it
   * was chosen, and choosing again gives another one; or it serves and has not been written yet, and is empty.
   */
  async #enter(
    definition: ProjectionDefinition,
    generation: number | undefined,
  ): Promise<{ opened: Opened; active: number | undefined }> {
    for (let missing: number | undefined; ; ) {
      const { chosen, active } = await this.#choose(definition.name, generation)
      const opened = this.#open(chosen, definition)
      // Counted before the check, so that nobody closes it meanwhile.
      opened.readers += 1
      let isThere = false
      try {
        isThere = missing === chosen.generation || (await areWritten(opened.parts))
      } finally {
        if (!isThere) opened.readers -= 1
      }
      if (isThere) return { opened, active }
      missing = chosen.generation
      await this.#closeUnused(definition.name, active)
    }
  }

  async #choose(projection: string, generation: number | undefined) {
    const state = await this.#options.control.projection(projection)
    const active = activeOf(state)
    const chosen =
      generation === undefined ? active : state?.generations.find((one) => one.generation === generation)
    if (chosen && isReadable(chosen)) return { chosen, active: active?.generation }
    throw notThere(projection, generation)
  }

  #open(generation: Generation, definition: ProjectionDefinition): Opened {
    const ofProjection = this.#opened.get(definition.name) ?? new Map<number, Opened>()
    this.#opened.set(definition.name, ofProjection)
    const known = ofProjection.get(generation.generation)
    if (known && !known.parts.some((part) => part.isReplaced())) return known
    if (known) this.#replaced.add(known)
    const parts = this.#openAll(placesOf(generation, definition))
    const opened = { generation, view: wholeView(parts), parts, readers: 0 }
    ofProjection.set(generation.generation, opened)
    return opened
  }

  #openAll(places: readonly Place[]): ReadableView[] {
    const parts: ReadableView[] = []
    try {
      for (const place of places) parts.push(this.#options.open(place))
      return parts
    } catch (error) {
      // Only the error of opening matters, not one of closing.
      void Promise.allSettled(parts.map((part) => part.close()))
      throw error
    }
  }

  async #closeUnused(projection: string, active: number | undefined): Promise<void> {
    const ofProjection = this.#opened.get(projection) ?? new Map<number, Opened>()
    const unused = [...ofProjection].filter(
      ([generation, { readers }]) => generation !== active && readers === 0,
    )
    for (const [generation] of unused) ofProjection.delete(generation)
    const replaced = [...this.#replaced].filter(({ readers }) => readers === 0)
    for (const opened of replaced) this.#replaced.delete(opened)
    for (const { parts } of [...unused.map(([, opened]) => opened), ...replaced]) {
      for (const part of parts) await part.close()
    }
  }
}

/** @throws CqrsError CQRS_UNKNOWN_PROJECTION that names the existing ones */
export function findProjection({ projections }: App, name: string): ProjectionDefinition {
  const found = projections.get(name)
  if (found) return found
  const known = [...projections.keys()].join(', ')
  throw new CqrsError('CQRS_UNKNOWN_PROJECTION', `There is no projection ${name}; there are: ${known}.`)
}

async function areWritten(parts: readonly ReadableView[]): Promise<boolean> {
  return (await Promise.all(parts.map((part) => part.isWritten()))).every(Boolean)
}

/** Whether all its parts are there, complete up to some position. */
function isReadable({ state, parts }: Generation): boolean {
  return !losesItsFiles(state) && parts.every(({ phase }) => phase === 'following')
}

function notThere(projection: string, generation: number | undefined): CqrsError {
  const message =
    generation === undefined
      ? `The view ${projection} has no generation that serves. It gets one as soon as a projections worker runs; "cqrs status" shows it.`
      : `${projection} has no readable generation ${generation}; "cqrs projections show ${projection}" lists its generations.`
  return new CqrsError('CQRS_NOT_FOUND', message)
}
