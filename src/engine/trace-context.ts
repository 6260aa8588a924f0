/** Which trace a call belongs to, as W3C headers of these names say it. */
export interface TraceContext {
  readonly traceparent?: string | undefined
  readonly baggage?: string | undefined
}

/** Version, trace id, id of the span, flags; ids of zeros only name nothing. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/

/** The longest baggage that the standard asks anybody to pass on. */
const MAX_BAGGAGE = 8_192

/** The context that comes with an HTTP request; what does not fit the standard is left out, as it says. */
export function traceOf(headers: Readonly<Record<string, string | string[] | undefined>>): TraceContext {
  const { traceparent, baggage } = headers
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) return NO_TRACE
  return typeof baggage === 'string' && baggage.length <= MAX_BAGGAGE
    ? { traceparent, baggage }
    : { traceparent }
}

const NO_TRACE: TraceContext = {}
