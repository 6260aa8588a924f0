import type { QueueSettings } from './settings.ts'

/**
 * How long to wait after the `failures`-th failure in a row, in milliseconds. The wait starts at `backoff_ms`, doubles
 * with each failure, and is at most `max_backoff_ms`. One half of it is fixed and the other random ("equal jitter",
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that messages that failed together are
 * not retried together.
 *
 * @param random gives numbers from 0 up to, not including, 1
 */
export function backoff(
  failures: number,
  settings: Pick<QueueSettings, 'backoff_ms' | 'max_backoff_ms'>,
  random: () => number,
): number {
  const doubled = settings.backoff_ms * 2 ** Math.min(Math.max(failures - 1, 0), 50)
  const ceiling = Math.min(doubled, settings.max_backoff_ms)
  return Math.round(ceiling / 2 + (ceiling / 2) * random())
}
