import type { Position } from '../kernel/position.ts'

/**
 * How long views have been behind by what was seen of them. The age of an event is the difference of two times of the wall
 * clock: after that was set back by an hour, a view that stands still would be told as up to date for that hour.
 *
 * @param monotonic a clock that never jumps, in milliseconds
 * @returns takes a unit that is behind and the position where it stands; gives the seconds since it was first seen there
 */
export function seenBehind(
  monotonic: () => number = () => performance.now(),
): (unit: string, position: Position) => number {
  const seen = new Map<string, { readonly position: Position; readonly since: number }>()
  return (unit, position) => {
    const now = monotonic()
    const before = seen.get(unit)
    // What is behind at a position stays so until it moves.
    const since = before?.position === position ? before.since : now
    seen.set(unit, { position, since })
    return (now - since) / 1_000
  }
}
