/**
 * A clock that begins at the wall clock's time and never jumps: setting the wall clock neither delays what waits nor
 * makes it due at once. Times of two processes are comparable only as far as their wall clocks agreed when they started.
 *
 * @param now the wall clock, in milliseconds
 * @param monotonic a clock that never jumps, in milliseconds
 */
export function steadyClock(
  now: () => number,
  monotonic: () => number = () => performance.now(),
): () => number {
  const origin = now() - monotonic()
  return () => Math.round(origin + monotonic())
}
