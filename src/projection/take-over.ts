import { setImmediate as nextTurn } from 'node:timers/promises'
import { reached } from '../boundaries.ts'
import { CqrsError } from '../kernel/errors.ts'
import { isIn, type Partition } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'
import { type EventLog, PAGE_BYTES } from '../log/contract.ts'
import type { PlacedEffect, TakeOverStep, ViewStore } from './contract.ts'
import { type Estate, owedAmong, positionOf, streamAt } from './duty.ts'

/** See {@link TakeOverRequest.atOnce}. */
const AT_ONCE = 1_000

/** What a part needs to know to take over from the generation that was active. */
export interface TakeOverRequest {
  /** The name of the projection. */
  readonly projection: string
  /** The outgoing generation's part of the same streams, or all its parts. It stands still. */
  readonly parts: readonly Estate[]
  /** Whether `parts` is just the one part of the same streams. */
  readonly aligned: boolean
  readonly partition: Partition
  readonly log: EventLog
  /** The number of the swap. */
  readonly swap: number
  /** Milliseconds since 1970. */
  readonly now: number
  /** How many effects or events one step takes over; fewer if they are large. Default 1,000. */
  readonly atOnce?: number | undefined
}

/**
 * Puts a view in the place of another one that stands still; see duty.ts. If it has done so already, for example before
 * its process was killed, nothing happens.
 *
 * There may be millions of effects, so this takes many steps, each a transaction of bounded size, with a turn of the
 * event loop between them. Only the last step counts. Until it has stored the number of the swap, nobody sends from
 * this view, nobody decides on what it holds, and no other swap is made.
 *
 * A process that is killed between two steps begins again with the first step, and the result is the same. Effects that
 * were copied are still where they were, and the copies of the attempt before are among those that are void. Withheld
 * effects that were due have moved already: they are now found among the view's own effects, as owed.
 *
 * @throws CqrsError CQRS_STORE_LOCKED if anybody else has changed the view since the step before, such as a process
 *   that was taken for dead: two must not take over at once
 */
export async function takeOver(view: ViewStore, request: TakeOverRequest): Promise<void> {
  const { projection, swap } = request
  let { revision } = await view.checkpoint()
  // Read after the revision: a takeover that happens in between changes the revision, so the first step fails.
  if ((await view.tookOver()) >= swap) return
  const take = async (step: TakeOverStep) => {
    if (!(await view.takeOver(step, revision))) throw overtaken(projection)
    revision += 1
  }
  for await (const step of steps(view, request)) {
    await take(step)
    reached('takeover-step', projection)
    await nextTurn()
  }
  await take({ swap })
}

function overtaken(projection: string): CqrsError {
  return new CqrsError(
    'CQRS_STORE_LOCKED',
    `Another process changed the view ${projection} while this one took effects over into it. Make sure that only one system ` +
      'uses the data folder ("cqrs workers"); the next sweep starts the takeover again.',
  )
}

async function* steps(view: ViewStore, request: TakeOverRequest): AsyncGenerator<TakeOverStep> {
  const { parts, log, now, atOnce = AT_ONCE } = request
  const owedOf = (positions: readonly Position[]) => owedAmong([...new Set(positions)], parts, log)
  for (let before: number | undefined; ; ) {
    const own = await view.effectsBefore(before, atOnce, PAGE_BYTES)
    if (own.length === 0) break
    before = own.at(-1)?.place
    const owed = await owedOf(own.map(({ idempotencyKey }) => positionOf(idempotencyKey)))
    const isVoid = ({ status, idempotencyKey }: PlacedEffect) =>
      status !== 'pending' || !owed.has(positionOf(idempotencyKey))
    yield { voided: own.filter(isVoid).map(({ idempotencyKey }) => idempotencyKey) }
  }
  for await (const effects of pagesOf(leftBy(request, atOnce), atOnce)) yield { effects }
  for (let after = 0; ; ) {
    const positions = await view.withheldAfter(after, atOnce, PAGE_BYTES)
    if (positions.length === 0) break
    after = positions.at(-1) as Position
    yield { withheld: { positions, owed: await owedOf(positions) } }
  }
  for (let after = 0; ; ) {
    const positions = await view.parkedAfter(after, atOnce)
    if (positions.length === 0) break
    after = positions.at(-1) as Position
    yield { parked: { positions, owed: await owedOf(positions) } }
  }
  for (const part of parts) {
    // Events of other partitions do not occur in this one.
    for (let after = 0; ; ) {
      const discarded = await part.discardedAfter(after, atOnce, PAGE_BYTES)
      if (discarded.length === 0) break
      after = discarded.at(-1)?.place as number
      yield { discarded, now }
    }
  }
}

async function* pagesOf(
  effects: AsyncIterable<PlacedEffect>,
  atOnce: number,
): AsyncGenerator<readonly PlacedEffect[]> {
  let page: PlacedEffect[] = []
  let bytes = 0
  for await (const effect of effects) {
    page.push(effect)
    bytes += effect.bytes
    if (page.length < atOnce && bytes < PAGE_BYTES) continue
    yield page
    page = []
    bytes = 0
  }
  if (page.length > 0) yield page
}

/** The effects that the outgoing generation has recorded for the streams of a part, the last one first. */
async function* leftBy(
  { parts, aligned, partition, log }: TakeOverRequest,
  atOnce: number,
): AsyncGenerator<PlacedEffect> {
  const sources = parts.map((part) => new Source(part, atOnce))
  for (;;) {
    let last: Source | undefined
    for (const source of sources) {
      if ((await source.place()) > ((await last?.place()) ?? NOTHING_LEFT)) last = source
    }
    const effect = last?.take()
    if (!effect) {
      for (const source of sources) await source.assertIsWhole()
      return
    }
    if (aligned || isIn(await streamAt(positionOf(effect.idempotencyKey), log), partition)) yield effect
  }
}

/** See {@link Source.place}. */
const NOTHING_LEFT = -1

/** The effects of one part, the last one first, read page by page. */
class Source {
  readonly #part: Estate
  readonly #atOnce: number
  #page: readonly PlacedEffect[] = []
  #next = 0
  #taken = 0
  #before: number | undefined

  constructor(part: Estate, atOnce: number) {
    this.#part = part
    this.#atOnce = atOnce
  }

  /** The position of the next effect's event; 0 if its key is damaged and has none; {@link NOTHING_LEFT} at the end. */
  async place(): Promise<Position> {
    if (this.#next >= this.#page.length) {
      this.#page = await this.#part.effectsBefore(this.#before, this.#atOnce, PAGE_BYTES)
      this.#next = 0
      this.#before = this.#page.at(-1)?.place ?? this.#before
    }
    const next = this.#page[this.#next]
    return next ? positionOf(next.idempotencyKey) : NOTHING_LEFT
  }

  take(): PlacedEffect | undefined {
    this.#next += 1
    this.#taken += 1
    return this.#page[this.#next - 1]
  }

  /** @throws CqrsError CQRS_STORE_CORRUPT if a page is damaged, so that searches in it left effects out */
  async assertIsWhole(): Promise<void> {
    await this.#part.assertNoMoreEffectsThan(this.#taken)
  }
}
