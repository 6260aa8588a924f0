/** The trace that a call belongs to, as the W3C headers with these names give it. */
export interface TraceContext {
  readonly traceparent?: string | undefined
  readonly baggage?: string | undefined
}

/** Version, trace id, span id, flags. An id that consists of zeros is invalid. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/

/** The longest baggage that the standard asks anybody to pass on. */
const MAX_BAGGAGE = 8_192

/** The trace context of an HTTP request. Headers that do not fit the standard are ignored, as the standard demands. */
export function traceOf(headers: Readonly<Record<string, string | string[] | undefined>>): TraceContext {
  const { traceparent, baggage } = headers
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) return NO_TRACE
  return typeof baggage === 'string' && baggage.length <= MAX_BAGGAGE
    ? { traceparent, baggage }
    : { traceparent }
}

const NO_TRACE: TraceContext = {}
