/**
 * A decider or a query says no. This is a normal result: nothing failed, nothing was stored, and the caller is told
 * why.
 */
export interface Rejection {
  readonly kind: 'rejection'
  /** `not-found` becomes HTTP 404, `conflict` 409. */
  readonly reason: 'not-found' | 'conflict'
  /** A name for programs, in snake case, e.g. `insufficient_stock`. */
  readonly code: string
  /** A sentence for people. */
  readonly message: string
  /** Facts that may help the caller; safe to show. */
  readonly details: Readonly<Record<string, unknown>>
}

/** A rejection: what the request is about does not exist. */
export function notFound(code: string, message: string, details: Record<string, unknown> = {}): Rejection {
  return { kind: 'rejection', reason: 'not-found', code, message, details }
}

/** A rejection: the request contradicts the current state. */
export function conflict(code: string, message: string, details: Record<string, unknown> = {}): Rejection {
  return { kind: 'rejection', reason: 'conflict', code, message, details }
}

/** Whether a value is a {@link Rejection}. */
export function isRejection(value: unknown): value is Rejection {
  return typeof value === 'object' && value !== null && (value as Rejection).kind === 'rejection'
}
