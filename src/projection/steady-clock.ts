/**
 * A clock that begins at the wall clock's time and never jumps: whoever sets the wall clock neither delays what
 * waits nor makes it due at once. Its times are comparable between processes as far as their wall clocks agree when
 * they start; see {@link ViewStore.notDueAfter} for when they do not.
 *
 * @param now the wall clock, in milliseconds
 * @param monotonic a clock that never jumps, in milliseconds
 */
export function steadyClock(
  now: () => number = Date.now,
  monotonic: () => number = () => performance.now(),
): () => number {
  const origin = now() - monotonic()
  return () => Math.round(origin + monotonic())
}
