import type { IIIClient } from 'iii-sdk'
import { answersOverLink } from './link.ts'

/** How long an engine that works takes to answer a question to itself, at most, in milliseconds. */
const ANSWER_TIMEOUT_MS = 1_000

/** How late a timeout may come, at most, in a process that has not stood still, in milliseconds. */
const LATE_MS = 1_000

/** A call that has timed out. */
export interface TimedOut {
  /** When it was made, by `performance.now`. */
  readonly begunAt: number
  readonly timeoutMs: number
}

/**
 * Whether a call timed out because its function is too slow. Otherwise the engine is away, or this process has stood
 * still (stopped, or on a machine that slept): the SDK reports all three as a timeout. When a process resumes, its
 * timers run before it reads what has arrived meanwhile, so the answer may already be waiting to be read.
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
