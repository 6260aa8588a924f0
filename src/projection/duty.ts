import { partitionOf } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'
import type { EventLog } from '../log/contract.ts'
import type { ViewStore } from './contract.ts'

/**
 * Who sends an effect when a view has several generations.
 *
 * At any time one generation **owes** the effects of an event. It is the active one, for every event that it has not
 * settled, which means that the event lies beyond its position or is parked. A generation that is not active applies
 * the same events at its own pace. For each event that it applies, one of two things is true:
 *
 * - the active one has settled it: its effects are recorded there, and nothing is recorded here;
 * - the active one still owes it: the effects are **withheld** here.
 *
 * When a generation takes over, the outgoing one stands still. The new one takes over its recorded effects, pending and
 * dead. Withheld effects that the outgoing one still owed become pending, and the others are dropped. An event that is
 * parked here but was settled there is marked as silent: its effects are settled, too.
 *
 * If the generation that takes over was active before, it left the effects that it recorded then to the outgoing one,
 * so they are dropped. It keeps only those that the outgoing one still owes. This happens when the outgoing one came
 * back by force and is behind; then nobody else has them.
 *
 * So the effects of each event are recorded by the one generation that owed them when it settled the event, and never
 * twice, even if the folds of the generations make different effects. How that is done is in take-over.ts.
 */
export interface Duty {
  readonly position: Position
  /** Those of the given events that are parked and whose effects are still owed. */
  readonly parked: ReadonlySet<Position>
}

/** What a generation leaves to its successor; see {@link ViewStore}. It may be more than fits into memory. */
export type Estate = Pick<ViewStore, 'duty' | 'effectsBefore' | 'assertNoMoreEffectsThan' | 'discardedAfter'>

/**
 * Which of the given events another generation owes.
 *
 * @param parts the other generation's part of the same streams, or all its parts in order
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

/** The position in an idempotency key; 0 if the key is damaged and has none. */
export function positionOf(idempotencyKey: string): Position {
  const position = Number(idempotencyKey.split(':').at(-2))
  return Number.isSafeInteger(position) && position > 0 ? position : 0
}

/** The stream of the event at a position; empty if there is no event. */
export async function streamAt(position: Position, log: EventLog): Promise<string> {
  if (position === 0) return ''
  const { events } = await log.readFrom(position - 1, { limit: 1 })
  return events[0]?.stream ?? ''
}
