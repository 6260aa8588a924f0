import type { RecordedEvent } from '../kernel/event.ts'
import type { Effect } from '../kernel/projection.ts'
import type { Inherited, NamedEffect } from './contract.ts'

/**
 * The effects of one event, with the keys under which they are always sent and with what they inherit from the event.
 *
 * @param reactor its name, which has no colon
 * @param sequence of the event
 */
export function nameEffects(
  reactor: string,
  { position, id, metadata }: RecordedEvent,
  sequence: string,
  effects: readonly Effect[],
): NamedEffect[] {
  const { traceparent, correlationId } = metadata
  const inherited: Inherited = {
    ...(traceparent === undefined ? {} : { traceparent }),
    correlationId,
    causationId: id,
    sequence,
  }
  return effects.map((effect, index) => ({
    idempotencyKey: `${reactor}:${position}:${index + 1}`,
    effect: { ...effect, ...inherited },
  }))
}
