import type { Generation, GenerationPart } from '../control/contract.ts'
import type { Position } from '../kernel/position.ts'
import type { GenerationProgress } from './generations-contract.ts'

/** The phases of a part, from the least to the most advanced. */
const PHASES = ['gone', 'waiting', 'folding', 'indexing', 'following']

/**
 * The progress of a generation, as its builders last recorded it.
 *
 * @param read the position of its view, if it was read
 */
export function progressOf({ state, parts }: Generation, read?: Position): GenerationProgress {
  const least = leastFar(parts)
  const eventsPerSecond = parts.reduce((sum, part) => sum + part.eventsPerSecond, 0)
  const position = read ?? least?.position ?? 0
  const target = least?.target ?? 0
  const left = Math.max(0, ...parts.map((part) => part.target - part.position))
  const folding = state === 'building' && least?.phase === 'folding' && eventsPerSecond > 0
  return {
    phase: least?.phase ?? 'gone',
    position,
    // Zero stays zero: it means that this generation had no position to reach.
    target: target === 0 ? 0 : Math.max(target, position),
    eventsPerSecond,
    secondsLeft: folding ? Math.ceil((left * parts.length) / eventsPerSecond) : null,
  }
}

function leastFar(parts: readonly GenerationPart[]): GenerationPart | undefined {
  return [...parts].sort(
    (one, other) => PHASES.indexOf(one.phase) - PHASES.indexOf(other.phase) || one.position - other.position,
  )[0]
}
