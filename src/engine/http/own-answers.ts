import { type Answer, errorAnswer } from './answer.ts'
import type { Body } from './body.ts'

/*
 * What the server answers by itself, in place of the function of a route.
 */

export const AWAY = errorAnswer(
  503,
  { code: 'WORKER_AWAY', message: 'Nobody serves this path at the moment. Try again in a second.' },
  [['retry-after', '1']],
)
export const BAD_PATH = errorAnswer(400, {
  code: 'INVALID_PATH',
  message: 'The path is not percent-encoded UTF-8: two hexadecimal digits have to follow each percent sign.',
})
export const CROSS_SITE = errorAnswer(403, {
  code: 'CROSS_SITE',
  message:
    'A page of another site may not send this request. If that site is yours, allow its origin in iii-http.cors.',
})
export const OVERLOADED = errorAnswer(
  503,
  { code: 'OVERLOADED', message: 'Too many requests are in flight. Try again in a moment.' },
  [['retry-after', '1']],
)
export const CONGESTED = errorAnswer(
  503,
  {
    code: 'OVERLOADED',
    message:
      'Too much is waiting for the worker of this route; its function was not called. Try again in a moment.',
  },
  [['retry-after', '1']],
)
export const BODY_LATE = errorAnswer(408, {
  code: 'BODY_LATE',
  message: 'The body of the request did not arrive in time; no function was called.',
})
export const TIMED_OUT = errorAnswer(504, {
  code: 'TIMEOUT',
  message: 'The function of the route did not answer in time.',
})
export const NO_ANSWER = errorAnswer(504, {
  code: 'NO_ANSWER',
  message:
    'The function of the route returned nothing and wrote no answer; it has to return {status_code?, headers?, body}.',
})
export const CONDITION_NOT_MET = errorAnswer(
  422,
  { code: 'CONDITION_NOT_MET', message: 'The condition of the route is not met.' },
  [],
  { skipped: true },
)
/** The most characters of a path that an answer repeats. */
const MAX_SHOWN_PATH = 200

/** For a path that no route has. */
export function notFound(method: string, path: string): Answer {
  const shown = path.length > MAX_SHOWN_PATH ? `${path.slice(0, MAX_SHOWN_PATH)}…` : path
  return errorAnswer(404, {
    code: 'NOT_FOUND',
    message:
      `There is no route ${method} ${shown}. Check the path, and which app runs: its commands and queries have the routes. ` +
      'Operators find theirs under /console and /ops.',
  })
}

/** For a path that has routes, but none for the method of the request. */
export function wrongMethod(allowed: readonly string[]): Answer {
  const message = `The path takes ${allowed.join(', ')}.`
  return errorAnswer(405, { code: 'METHOD_NOT_ALLOWED', message }, [['allow', allowed.join(',')]])
}

/** For a body that is not passed on. */
export function refusedBody(
  body: Extract<Body, { kind: 'malformed' | 'too_large' }>,
  maxBytes: number,
): Answer {
  if (body.kind === 'malformed') return errorAnswer(400, { code: 'INVALID_JSON', message: body.why })
  return errorAnswer(413, { code: 'BODY_TOO_LARGE', message: `The body is larger than ${maxBytes} bytes.` })
}
