import { propagation, type TextMapPropagator } from '@opentelemetry/api'
import type { TracedEffect } from '../../projection/contract.ts'
import type { Applying } from '../../projection/projector.ts'

/** An effect on its way, as tracing knows it. */
export interface SentEffect {
  readonly effect: TracedEffect
  readonly idempotencyKey: string
}

/**
 * Makes what this process does part of the traces of others. A context is a W3C `traceparent`. The events of a command
 * keep the context that the command ran in, and whatever is done because of them continues that trace.
 */
export interface Tracing {
  /** The context of what is running now; undefined while the telemetry of the SDK is off. */
  current(): string | undefined
  /**
   * Runs `call`. The calls to the engine that it makes before it first waits belong to the context; to none if
   * `traceparent` is undefined.
   */
  within<Result>(traceparent: string | undefined, call: () => Result): Result
  /** Runs the sending of an effect within the context of its event. */
  sending<Result>(sent: SentEffect, send: () => Promise<Result>): Promise<Result>
  /** Records the batches of a unit; undefined if nothing is recorded. */
  applying(unit: string): Applying | undefined
}

/**
 * The context of the calls that are made at this moment. A call reads it before it first waits, so one variable is
 * enough.
 */
let carried: string | undefined

/**
 * Adds the context that {@link relayTracing} has set to calls of the SDK. It reads no context from messages, since
 * nobody needs one.
 */
const carrier: TextMapPropagator = {
  inject(_context, headers, setter) {
    if (carried !== undefined) setter.set(headers, 'traceparent', carried)
  },
  extract: (context) => context,
  fields: () => ['traceparent'],
}

/** Records nothing, but passes contexts on, so that the traces of others do not end here. */
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
