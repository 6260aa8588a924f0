import type { IIIClient } from 'iii-sdk'
import { answersOverLink } from './link.ts'

/** How long an engine that does not stand still takes at the most to answer what it is asked itself, in milliseconds. */
const ANSWER_TIMEOUT_MS = 1_000

/** How much later than it was due a timeout may come in a process that has not stood still, in milliseconds. */
const LATE_MS = 1_000

/** A call that has timed out. */
export interface TimedOut {
  /** When it was made, by `performance.now`. */
  readonly begunAt: number
  readonly timeoutMs: number
}

/**
 * Tells a function that is too slow from an engine that is away, and from this process having stood still (stopped, or on a
 * machine that slept): to the SDK all of them are a timeout. A process that goes on meets its timers before it reads what
 * has arrived meanwhile, so that the answer may lie there.
 *
 * @param now the time, as in {@link TimedOut.begunAt}
 */
export async function isCalleeSlow(
  iii: Pick<IIIClient, 'trigger'>,
  { begunAt, timeoutMs }: TimedOut,
  now: number = performance.now(),
): Promise<boolean> {
  if (now - begunAt > timeoutMs + LATE_MS) return false
  return answersOverLink(iii, ANSWER_TIMEOUT_MS)
}
