import { backoff } from '../kernel/backoff.ts'
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

/** How many failures of an event are kept; `attempts` counts all of them. */
const KEPT_FAILURES = 10

/** How much of an error is kept with each of them, in characters: many letters have to fit into one answer. */
const KEPT = { message: 4_000, stack: 8_000 } as const

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

/** A parked event after one more failure. `now` is the wall clock, `steady` the clock for due times. */
export function parkFailed(
  parked: ParkedEvent,
  error: Error,
  context: { policy: RetryPolicy; now: number; steady: number; random: () => number },
): ParkedEvent {
  const attempts = parked.attempts + 1
  const failure: FailedAttempt = {
    at: new Date(context.now).toISOString(),
    ...excerptOf(error),
  }
  const dead = attempts >= context.policy.maxAttempts
  return {
    ...parked,
    attempts,
    status: dead ? 'dead' : 'retrying',
    dueAt: dead ? 0 : context.steady + backoff(attempts, context.policy, context.random),
    failures: [...parked.failures, failure].slice(-KEPT_FAILURES),
  }
}

/** A stack begins with the message. A long message is cut there too, so that the place where it was thrown is kept. */
function excerptOf({ message, stack }: Error): Pick<FailedAttempt, 'message' | 'stack'> {
  const shown = message.length > KEPT.message ? `${message.slice(0, KEPT.message - 1)}…` : message
  if (stack === undefined) return { message: shown }
  return { message: shown, stack: stack.replace(message, () => shown).slice(0, KEPT.stack) }
}
