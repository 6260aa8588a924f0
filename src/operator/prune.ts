import { z } from 'zod'
import type { Generation } from '../control/contract.ts'
import { findProjection } from '../generations/view-readers.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { GenerationsChanged } from './generations-contract.ts'
import { known } from './rebuild.ts'
import { flag, number, parseRequest } from './request.ts'
import type { System } from './system.ts'

// Strict: if a mistyped `keepPrevious` were ignored, the generation to roll back to would be removed, too.
const inputs = z.strictObject({
  projection: z.string().optional(),
  generation: number(1).optional(),
  keepPrevious: flag().default(false),
})

/**
 * Requests the removal of generations that neither serve nor are being built: all, those of one projection, or those
 * with one number.
 *
 * @throws CqrsError CQRS_UNKNOWN_PROJECTION. If a number is given and no generation with it can be removed:
 *   CQRS_NOT_FOUND if none exists, otherwise CQRS_VALIDATION that says why
 */
export async function prune(system: System, input: unknown): Promise<GenerationsChanged> {
  const request = parseRequest(inputs, input)
  if (request.projection !== undefined) findProjection(system.app, request.projection)
  const names = request.projection === undefined ? system.app.projections.keys() : [request.projection]
  const changed: { projection: string; generation: number }[] = []
  const left: string[] = []
  for (const name of names) {
    for (const one of (await known(system, name)).generations) {
      const { generation, state } = one
      if (request.generation !== undefined && generation !== request.generation) continue
      const isKept = request.keepPrevious && state === 'previous'
      if (!isKept && (await system.control.move(name, generation, 'pruning'))) {
        changed.push({ projection: name, generation })
      } else left.push(isKept ? whyKept(one) : whyLeft(one))
    }
  }
  if (changed.length > 0 || request.generation === undefined) return { generations: changed }
  if (left.length > 0) throw new CqrsError('CQRS_VALIDATION', left.join(' '))
  const { projection, generation } = request
  const whose = projection === undefined ? 'No projection has a' : `${projection} has no`
  const list = projection === undefined ? 'cqrs projections' : `cqrs projections show ${projection}`
  throw new CqrsError(
    'CQRS_NOT_FOUND',
    `${whose} generation ${generation}; "${list}" lists the existing ones.`,
  )
}

function whyKept({ projection, generation }: Generation): string {
  return `Generation ${generation} of ${projection} is the one that "cqrs rollback ${projection}" returns to; leave out --keep-previous to remove it.`
}

/** Why a generation is not pruned, and what to do. */
function whyLeft({ projection, generation, state }: Generation): string {
  const it = `Generation ${generation} of ${projection}`
  switch (state) {
    case 'active':
      return `${it} serves. "cqrs rebuild ${projection}" replaces it; then it can be pruned.`
    case 'building':
    case 'ready':
      return `${it} is being built. "cqrs projections cancel ${projection}" cancels the build and removes it.`
    case 'returning':
      return `${it} will serve again because of a rollback. "cqrs projections cancel ${projection}" cancels the rollback; then it can be pruned.`
    case 'cancelling':
    case 'pruning':
      return `${it} is already being removed by the projections worker (see "cqrs workers").`
    default:
      return (
        `${it} still has effects that the generation that serves has to take over. The projections worker does that ` +
        '(see "cqrs workers"); try again when it is done.'
      )
  }
}
