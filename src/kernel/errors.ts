/**
 * Every error of this software has a code from this registry. A user can look it up in docs/errors.md (a test keeps the
 * two in step), and a program can branch on it.
 *
 * `retry` says whether the same request can succeed later without anybody changing it; `httpStatus` is what an HTTP
 * caller sees.
 */
export const ERRORS = {
  CQRS_VALIDATION: { httpStatus: 400, retry: false, meaning: 'The input does not fit its schema.' },
  CQRS_UNAUTHORIZED: {
    httpStatus: 401,
    retry: false,
    meaning: 'The operator token is missing or wrong.',
  },
  CQRS_FORBIDDEN: {
    httpStatus: 403,
    retry: false,
    meaning: 'The read-only operator token does not allow changes.',
  },
  CQRS_TOO_MANY_FAILURES: {
    httpStatus: 429,
    retry: true,
    meaning: 'Too many wrong tokens came within a minute.',
  },
  CQRS_UNKNOWN_COMMAND: {
    httpStatus: 404,
    retry: false,
    meaning: 'No decider of this app has that command.',
  },
  CQRS_KEY_REUSED: {
    httpStatus: 422,
    retry: false,
    meaning: 'The idempotency key was used before for a different command or body.',
  },
  CQRS_CONFLICT: {
    httpStatus: 409,
    retry: true,
    meaning: 'Other commands kept changing the same stream; this try stored nothing.',
  },
  CQRS_STORE_UNAVAILABLE: {
    httpStatus: 503,
    retry: true,
    meaning: 'A store could not be read or written; nothing was acknowledged.',
  },
  CQRS_STORE_FULL: {
    httpStatus: 503,
    retry: true,
    meaning: 'The disk or the quota of a store is full; nothing was acknowledged.',
  },
  CQRS_STORE_NEWER: {
    httpStatus: 500,
    retry: false,
    meaning: 'A store was written by a newer version of this software.',
  },
  CQRS_STORE_FOREIGN: { httpStatus: 500, retry: false, meaning: 'A store file belongs to something else.' },
  CQRS_STORE_LOCKED: {
    httpStatus: 500,
    retry: true,
    meaning: 'Another process owns the store or the data folder.',
  },
  CQRS_STORE_CORRUPT: {
    httpStatus: 500,
    retry: false,
    meaning: 'A store holds bytes that it did not write.',
  },
  CQRS_EVENT_UNREADABLE: {
    httpStatus: 500,
    retry: false,
    meaning: 'The app cannot read an event that is stored: its type, its version or its data.',
  },
  CQRS_LOG_TOO_SHORT: {
    httpStatus: 500,
    retry: false,
    meaning: 'The event log ends before an event that it acknowledged or that a view has applied.',
  },
  CQRS_SQLITE_TOO_OLD: {
    httpStatus: 500,
    retry: false,
    meaning: 'This Node contains an SQLite version with known bugs.',
  },
  CQRS_OVERLOADED: {
    httpStatus: 503,
    retry: true,
    meaning: 'Too much work is waiting; nothing was acknowledged.',
  },
  CQRS_VIEW_BEHIND: {
    httpStatus: 503,
    retry: true,
    meaning: 'The view did not reach the wanted position in time.',
  },
  CQRS_VIEW_NEWER: {
    httpStatus: 500,
    retry: false,
    meaning: 'A view is served in a later version than the app defines.',
  },
  CQRS_UNKNOWN_PROJECTION: {
    httpStatus: 404,
    retry: false,
    meaning: 'No projection of this app has that name.',
  },
  CQRS_NOT_FOUND: { httpStatus: 404, retry: false, meaning: 'What was asked for does not exist.' },
  CQRS_APP_INVALID: {
    httpStatus: 500,
    retry: false,
    meaning: 'The definition of the app contradicts itself.',
  },
  CQRS_CONFIG_INVALID: {
    httpStatus: 500,
    retry: false,
    meaning: 'The configuration does not fit its schema.',
  },
  CQRS_NODE_TOO_OLD: { httpStatus: 500, retry: false, meaning: 'This Node is too old to run the code.' },
  CQRS_PORT_TAKEN: {
    httpStatus: 500,
    retry: true,
    meaning: 'Another program listens on a port that is needed.',
  },
  CQRS_ENGINE_UNREACHABLE: {
    httpStatus: 503,
    retry: true,
    meaning: 'No iii engine answers at the address, or the link to it broke before an answer.',
  },
  CQRS_ENGINE_TAKEN: {
    httpStatus: 500,
    retry: false,
    meaning: 'Another system on the engine offers functions or routes of the same names.',
  },
  CQRS_TOO_LARGE: {
    httpStatus: 500,
    retry: false,
    meaning: 'An event, an effect or an answer is larger than allowed.',
  },
  CQRS_QUEUE_INVALID: {
    httpStatus: 400,
    retry: false,
    meaning: 'A message or a queue setting does not fit the queue.',
  },
  CQRS_IMPORT_INVALID: {
    httpStatus: 400,
    retry: false,
    meaning: 'A file of events is incomplete or changed, or does not continue the log.',
  },
  CQRS_CLOSED: { httpStatus: 503, retry: true, meaning: 'The component is shutting down.' },
} as const satisfies Record<string, { httpStatus: number; retry: boolean; meaning: string }>

/** A code of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS

/**
 * An error of this software: a code from the registry, a message that says what to do, the underlying error as `cause`,
 * and `details` that are safe to show to a caller.
 */
export class CqrsError extends Error {
  override readonly name = 'CqrsError'
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }
}

/** Whether `error` is a {@link CqrsError}, of one of `codes` if any are named. */
export function isCqrsError(error: unknown, ...codes: ErrorCode[]): error is CqrsError {
  return error instanceof CqrsError && (codes.length === 0 || codes.includes(error.code))
}
