import type { Position } from '../kernel/position.ts'
import type { ProjectionDefinition } from '../kernel/projection.ts'
import type { Projector, StepOutcome } from '../projection/projector.ts'

/**
 * Advances a generation that is going to replace the active one, unless it `waits`: it does not lead, but is ahead of
 * the active one. If the active one of a reactor began anew, because its file was removed, it has yet to record effects
 * again that this one left to it. They would be lost if it were replaced before.
 *
 * @param served the position of the active one; undefined if this one leads, or if the active one is damaged
 */
export async function stepBeside(
  kind: ProjectionDefinition['kind'],
  projector: Pick<Projector, 'position' | 'step'>,
  served: Position | undefined,
): Promise<{ waits: boolean; outcome: StepOutcome; position: Position }> {
  const waits = kind === 'reactor' && served !== undefined && (await projector.position()) > served
  const outcome = waits ? 'at-head' : await projector.step()
  return { waits, outcome, position: await projector.position() }
}
