/**
 * How long to wait after the `failures`-th failure in a row (at least 1), in milliseconds. The wait starts at `baseMs`,
 * doubles with each failure, and is at most `capMs`. One half of it is fixed and the other random ("equal jitter",
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that what failed together is not tried
 * again together.
 *
 * @param random gives numbers from 0 up to, not including, 1
 */
export function backoff(
  failures: number,
  { baseMs, capMs }: { readonly baseMs: number; readonly capMs: number },
  random: () => number,
): number {
  const ceiling = Math.min(baseMs * 2 ** Math.min(failures - 1, 50), capMs)
  return Math.round(ceiling / 2 + (ceiling / 2) * random())
}
