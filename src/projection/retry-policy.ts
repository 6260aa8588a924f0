import type { RecordedEvent } from '../kernel/event.ts'
import type { FailedAttempt, ParkedEvent } from './contract.ts'

/** How a parked event is tried again. */
export interface RetryPolicy {
  /** Attempts before an event is dead. */
  readonly maxAttempts: number
  /** Delay after the first failure, in milliseconds; doubles with each further one. */
  readonly baseMs: number
  /** Longest delay, in milliseconds. */
  readonly capMs: number
}

/** Failures of an event that are kept; the count of attempts goes on. */
const KEPT_FAILURES = 10

/**
 * Delay before the next attempt: exponential with equal jitter, i.e. half of it fixed and half random
 * (Marc Brooker, "Exponential Backoff And Jitter", 2015).
 *
 * @param attempts failures so far, at least 1
 * @param random gives a number in [0, 1)
 */
function retryDelay(policy: RetryPolicy, attempts: number, random: () => number): number {
  const full = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(attempts - 1, 30))
  return full / 2 + (full / 2) * random()
}

/** Parks an event behind an earlier one of its sequence. */
export function parkBehind(event: RecordedEvent, sequence: string, now: number): ParkedEvent {
  return {
    position: event.position,
    sequence,
    type: event.type,
    status: 'waiting',
    attempts: 0,
    dueAt: 0,
    failures: [],
    parkedAt: new Date(now).toISOString(),
  }
}

/** The parking of an event after one more failure, at `now` by the wall clock and `steady` by that for waiting. */
export function parkFailed(
  parked: ParkedEvent,
  error: Error,
  context: { policy: RetryPolicy; now: number; steady: number; random: () => number },
): ParkedEvent {
  const attempts = parked.attempts + 1
  const failure: FailedAttempt = {
    at: new Date(context.now).toISOString(),
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  }
  const dead = attempts >= context.policy.maxAttempts
  return {
    ...parked,
    attempts,
    status: dead ? 'dead' : 'retrying',
    dueAt: dead ? 0 : Math.round(context.steady + retryDelay(context.policy, attempts, context.random)),
    failures: [...parked.failures, failure].slice(-KEPT_FAILURES),
  }
}
