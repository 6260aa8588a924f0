/**
 * The answer of a decider or a query that says no. It is a value: nothing failed, nothing was stored,
 * and the caller is told why.
 */
export interface Rejection {
  readonly kind: 'rejection'
  /** `not-found` becomes HTTP 404, `conflict` 409. */
  readonly reason: 'not-found' | 'conflict'
  /** A name for programs, in snake case, e.g. `insufficient_stock`. */
  readonly code: string
  /** A sentence for people. */
  readonly message: string
  /** Facts a caller may want, safe to show. */
  readonly details: Readonly<Record<string, unknown>>
}

/** Says that what the request is about does not exist. */
export function notFound(code: string, message: string, details: Record<string, unknown> = {}): Rejection {
  return { kind: 'rejection', reason: 'not-found', code, message, details }
}

/** Says that the request contradicts the present state. */
export function conflict(code: string, message: string, details: Record<string, unknown> = {}): Rejection {
  return { kind: 'rejection', reason: 'conflict', code, message, details }
}

/** Whether a value is a {@link Rejection}. */
export function isRejection(value: unknown): value is Rejection {
  return typeof value === 'object' && value !== null && (value as Rejection).kind === 'rejection'
}
