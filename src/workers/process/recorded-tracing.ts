import {
  type Attributes,
  type Context,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import type { RecordedEvent } from '../../kernel/event.ts'
import type { ParkedEvent } from '../../projection/contract.ts'
import type { SentEffect, Tracing } from './tracing.ts'

/**
 * How many events of a batch get a span each, at most. A larger batch catches up on older events, and gets one span
 * with links.
 */
const SPANS_PER_BATCH = 100

/** Links of one span; what OpenTelemetry keeps by default. */
const MAX_LINKS = 128

const SYSTEM = { 'messaging.system': 'iii-durable-cqrs' }

/**
 * Records spans with the telemetry of the SDK, which must be on in this process. Names and attributes follow
 * OpenTelemetry's conventions for messaging: an event is a message, which is created in the span of its command and
 * processed by each projection.
 *
 * @param now the wall clock, in milliseconds
 */
export function recordedTracing(now: () => number): Tracing {
  const tracer = trace.getTracer('iii-durable-cqrs')
  return {
    current: () => traceparentOf(context.active()),
    within: (traceparent, call) => context.with(contextOf(traceparent), call),
    async sending({ effect, idempotencyKey }: SentEffect, send) {
      const target = effect.kind === 'publish' ? effect.topic : effect.functionId
      const attributes = {
        ...SYSTEM,
        'messaging.operation.type': 'send',
        'messaging.operation.name': effect.kind,
        'messaging.destination.name': target,
        'messaging.message.id': idempotencyKey,
      }
      const kind = effect.kind === 'publish' ? SpanKind.PRODUCER : SpanKind.CLIENT
      const parent = contextOf(effect.traceparent)
      const span = tracer.startSpan(`${effect.kind} ${target}`, { kind, attributes }, parent)
      try {
        return await context.with(trace.setSpan(parent, span), send)
      } catch (error) {
        failed(span, (error as Error).message)
        throw error
      } finally {
        span.end()
      }
    },
    applying(unit) {
      const record = (attributes: Attributes, startTime: number, links: Link[], parent: Context) =>
        tracer.startSpan(
          `apply ${unit}`,
          { kind: SpanKind.CONSUMER, startTime, links, attributes: { ...aboutUnit(unit), ...attributes } },
          parent,
        )
      return () => {
        const startTime = now()
        const around = trace.getSpanContext(context.active())
        return (events, parked) => {
          const ambient = around ? [{ context: around }] : []
          const traced = events.filter(({ metadata }) => metadata.traceparent !== undefined)
          if (traced.length > SPANS_PER_BATCH) {
            const count = { 'messaging.batch.message_count': events.length }
            record(count, startTime, linksTo(traced), context.active()).end(now())
            return
          }
          const outcomes = new Map(parked.map((one) => [one.position, one]))
          for (const event of traced) {
            const span = record(aboutEvent(event), startTime, ambient, contextOf(event.metadata.traceparent))
            describeOutcome(span, outcomes.get(event.position))
            span.end(now())
          }
        }
      }
    },
  }
}

function aboutUnit(unit: string): Attributes {
  return {
    ...SYSTEM,
    'messaging.operation.type': 'process',
    'messaging.operation.name': 'apply',
    'messaging.destination.name': unit,
  }
}

function aboutEvent({ id, type, stream, position }: RecordedEvent): Attributes {
  return {
    'messaging.message.id': id,
    'cqrs.event.type': type,
    'cqrs.event.stream': stream,
    'cqrs.event.position': position,
  }
}

function describeOutcome(span: Span, parked: ParkedEvent | undefined): void {
  if (!parked) return
  span.setAttribute('cqrs.event.parked', parked.status)
  if (parked.status !== 'waiting') failed(span, parked.failures.at(-1)?.message ?? '')
}

function linksTo(events: readonly RecordedEvent[]): Link[] {
  return events.slice(0, MAX_LINKS).flatMap(({ metadata }) => {
    const spanContext = trace.getSpanContext(contextOf(metadata.traceparent))
    return spanContext ? [{ context: spanContext }] : []
  })
}

function failed(span: Span, message: string): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message })
}

/** The context of a traceparent. @returns the root context if there is none, or it is invalid */
function contextOf(traceparent: string | undefined): Context {
  return traceparent === undefined ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent })
}

function traceparentOf(from: Context): string | undefined {
  const headers: { traceparent?: string } = {}
  propagation.inject(from, headers)
  return headers.traceparent
}
