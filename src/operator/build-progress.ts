import type { Generation, GenerationPart } from '../control/contract.ts'
import type { Position } from '../kernel/position.ts'
import type { GenerationProgress } from './generations-contract.ts'

/** The phases of a part, from the one that is least far on. */
const PHASES = ['gone', 'waiting', 'folding', 'indexing', 'following']

/**
 * How far a generation is, as its builders last noted it.
 *
 * @param read where its view stands, if somebody has looked
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
    // Zero stays: it had nowhere to get to.
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
