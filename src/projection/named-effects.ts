import type { RecordedEvent } from '../kernel/event.ts'
import type { Effect } from '../kernel/projection.ts'
import type { NamedEffect } from './contract.ts'

/**
 * The effects of one event, with the keys under which they are always sent and with the trace context of the event.
 *
 * @param reactor its name, which has no colon
 */
export function nameEffects(
  reactor: string,
  { position, metadata }: RecordedEvent,
  effects: readonly Effect[],
): NamedEffect[] {
  const { traceparent } = metadata
  return effects.map((effect, index) => ({
    idempotencyKey: `${reactor}:${position}:${index + 1}`,
    effect: traceparent === undefined ? effect : { ...effect, traceparent },
  }))
}
