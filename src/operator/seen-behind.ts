import type { Position } from '../kernel/position.ts'

/**
 * Measures how long views have been behind, independently of the wall clock. The age of an event is the difference of
 * two wall-clock times: if the clock is set back by an hour, a view that stands still would seem up to date for that
 * hour.
 *
 * @param monotonic a clock that never jumps, in milliseconds
 * @returns a function that takes a unit that is behind and its position, and gives the seconds since the unit was
 *   first seen at that position
 */
export function seenBehind(
  monotonic: () => number = () => performance.now(),
): (unit: string, position: Position) => number {
  const seen = new Map<string, { readonly position: Position; readonly since: number }>()
  return (unit, position) => {
    const now = monotonic()
    const before = seen.get(unit)
    // A unit that is behind remains behind as long as its position stays the same.
    const since = before?.position === position ? before.since : now
    seen.set(unit, { position, since })
    return (now - since) / 1_000
  }
}
