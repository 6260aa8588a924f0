import { propagation, type TextMapPropagator } from '@opentelemetry/api'
import type { TracedEffect } from '../projection/contract.ts'
import type { Applying } from '../projection/projector.ts'

/** An effect on its way, as tracing knows it. */
export interface SentEffect {
  readonly effect: TracedEffect
  readonly idempotencyKey: string
}

/**
 * What this process does, as part of the traces of others. A context is a W3C `traceparent`; the events of a
 * command keep the one that the command ran in, and whatever is done because of them goes on from there.
 */
export interface Tracing {
  /** The context of what is running now; undefined while the telemetry of the SDK is off. */
  current(): string | undefined
  /** Runs `call`: what it asks the engine for before it first waits belongs to the context; to none if left out. */
  within<Result>(traceparent: string | undefined, call: () => Result): Result
  /** Runs the sending of an effect within the context of its event. */
  sending<Result>(sent: SentEffect, send: () => Promise<Result>): Promise<Result>
  /** Follows the batches of a unit, if there is anything to follow. */
  applying(unit: string): Applying | undefined
}

/** The context that calls carry at this moment. A call takes it before it first waits, so one is enough. */
let carried: string | undefined

/** Gives calls of the SDK the context that {@link relayTracing} has set; reads none, as nobody asks. */
const carrier: TextMapPropagator = {
  inject(_context, headers, setter) {
    if (carried !== undefined) setter.set(headers, 'traceparent', carried)
  },
  extract: (context) => context,
  fields: () => ['traceparent'],
}

/** Records nothing; contexts pass through, so that the traces of others do not end here. */
export function relayTracing(): Tracing {
  propagation.setGlobalPropagator(carrier)
  const within: Tracing['within'] = (traceparent, call) => {
    const before = carried
    carried = traceparent
    try {
      return call()
    } finally {
      carried = before
    }
  }
  return {
    current: () => undefined,
    within,
    sending: ({ effect }, send) => within(effect.traceparent, send),
    applying: () => undefined,
  }
}
