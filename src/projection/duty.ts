import { partitionOf } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'
import type { EventLog } from '../log/contract.ts'
import type { ViewStore } from './contract.ts'

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
 * that owed it when it settled it, whichever fold does more or less, and never twice. How that is done is in take-over.ts.
 */
export interface Duty {
  readonly position: Position
  /** Of the events that were asked for, those that are parked, and whose effects are still owed. */
  readonly parked: ReadonlySet<Position>
}

/** What a generation leaves: see {@link ViewStore}. It may be more than fits into memory. */
export type Estate = Pick<ViewStore, 'duty' | 'effectsBefore' | 'assertNoMoreEffectsThan' | 'discardedAfter'>

/**
 * Which of some events another generation owes.
 *
 * @param parts its part of the same streams, or all its parts in order
 */
export async function owedAmong(
  positions: readonly Position[],
  parts: readonly Pick<ViewStore, 'duty'>[],
  log: EventLog,
): Promise<Set<Position>> {
  const duties = await Promise.all(parts.map((part) => part.duty(positions)))
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

/** The position in an idempotency key; 0 if it was damaged and tells none. */
export function positionOf(idempotencyKey: string): Position {
  const position = Number(idempotencyKey.split(':').at(-2))
  return Number.isSafeInteger(position) && position > 0 ? position : 0
}

/** The stream of an event; empty if there is none. */
export async function streamAt(position: Position, log: EventLog): Promise<string> {
  if (position === 0) return ''
  const { events } = await log.readFrom(position - 1, { limit: 1 })
  return events[0]?.stream ?? ''
}
