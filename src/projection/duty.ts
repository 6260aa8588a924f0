import type { Partition } from '../kernel/partition.ts'
import { isIn, partitionOf } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'
import type { EventLog } from '../log/contract.ts'
import type { Discarded, RecordedEffect, ViewStore } from './contract.ts'

/**
 * Who sends an effect when a view has several generations.
 *
 * At any time one generation **owes** the effects of an event: the active one, for every event that it has not
 * settled, i.e. that lies beyond its position or is parked. A generation that is not active applies the same
 * events at its own pace, and each event that it applies is in one of two places:
 *
 * - the active one has settled it: its effects are recorded there, and nothing is recorded here;
 * - the active one still owes it: the effects are **withheld** here.
 *
 * When a generation takes over, the outgoing one stands still. It leaves its recorded effects, pending and dead; those
 * withheld effects become pending that the outgoing one still owed, and the others are dropped; and what is parked here, but was settled
 * there, is marked as silent: its effects are settled, too. What the one that takes over recorded when it was active before was
 * left to the outgoing one then, and is dropped; but for what that one still owes, because it came back by force and is
 * behind: nobody else has that. So each event's effects are recorded by the one generation
 * that owed it when it settled it, whichever fold does more or less, and never twice.
 */
export interface Duty {
  readonly position: Position
  /** Parked events whose effects are still owed. */
  readonly parked: ReadonlySet<Position>
}

/** What a generation leaves. */
export interface Estate extends Duty {
  /** Recorded and not sent, or dead; in order. */
  readonly effects: readonly RecordedEffect[]
  /** Events that an operator gave up. */
  readonly discarded: readonly Discarded[]
}

/** What a generation takes over. */
export interface TakeOver {
  /** The number of the swap. */
  readonly swap: number
  /** Of its own events that are parked, withheld, or have effects recorded: those that the outgoing generation still owed. */
  readonly owed: ReadonlySet<Position>
  readonly effects: readonly RecordedEffect[]
  readonly discarded: readonly Discarded[]
  /** Milliseconds since 1970. */
  readonly now: number
}

/**
 * Which of some events another generation owes.
 *
 * @param parts its part of the same streams, or all its parts in order
 */
export async function owedAmong(
  positions: readonly Position[],
  parts: readonly { duty(): Promise<Duty> }[],
  log: EventLog,
): Promise<Set<Position>> {
  const duties = await Promise.all(parts.map((part) => part.duty()))
  return owedBy(positions, duties, log)
}

/**
 * Brings a view into the place of another one that stands still.
 * If it has done so already, e.g. before its process was killed, nothing happens.
 */
export async function takeOver(
  view: ViewStore,
  { parts, aligned, partition, log, swap, now }: TakeOverRequest,
): Promise<void> {
  if ((await view.tookOver()) >= swap) return
  const estates = await Promise.all(parts.map((part) => part.estate()))
  const { parked, withheld } = await view.undecided()
  const own = (await view.estate()).effects.map(({ idempotencyKey }) => positionOf(idempotencyKey))
  const effects: RecordedEffect[] = []
  for (const effect of estates.flatMap((estate) => estate.effects)) {
    const position = positionOf(effect.idempotencyKey)
    if (aligned || isIn(await streamAt(position, log), partition)) effects.push(effect)
  }
  effects.sort((one, other) => positionOf(one.idempotencyKey) - positionOf(other.idempotencyKey))
  await view.takeOver({
    swap,
    owed: await owedBy([...new Set([...parked, ...withheld, ...own])], estates, log),
    effects,
    // Those of other partitions meet nothing here.
    discarded: estates.flatMap(({ discarded }) => discarded),
    now,
  })
}

/** How a part takes over from the generation that was active. */
export interface TakeOverRequest {
  /** The outgoing generation's part of the same streams, or all its parts. */
  readonly parts: readonly { estate(): Promise<Estate> }[]
  /** Whether `parts` is the one part of the same streams. */
  readonly aligned: boolean
  readonly partition: Partition
  readonly log: EventLog
  readonly swap: number
  readonly now: number
}

/** The position in an idempotency key. */
export function positionOf(idempotencyKey: string): Position {
  return Number(idempotencyKey.split(':').at(-2))
}

async function owedBy(
  positions: readonly Position[],
  duties: readonly Duty[],
  log: EventLog,
): Promise<Set<Position>> {
  const furthest = Math.max(...duties.map(({ position }) => position))
  const nearest = Math.min(...duties.map(({ position }) => position))
  const owed = new Set<Position>()
  for (const position of positions) {
    if (position > furthest || duties.some(({ parked }) => parked.has(position))) owed.add(position)
    else if (position > nearest) {
      const part = duties[partitionOf(await streamAt(position, log), duties.length)]
      if (part && position > part.position) owed.add(position)
    }
  }
  return owed
}

async function streamAt(position: Position, log: EventLog): Promise<string> {
  const { events } = await log.readFrom(position - 1, { limit: 1 })
  return events[0]?.stream ?? ''
}
