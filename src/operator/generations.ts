import { z } from 'zod'
import type { Generation, GenerationPart, ProjectionControl } from '../control/contract.ts'
import { fits, placesOf } from '../generations/place.ts'
import { findProjection } from '../generations/view-readers.ts'
import type { Position } from '../kernel/position.ts'
import type { ProjectionDefinition } from '../kernel/projection.ts'
import { type Attempt, unlessDamaged } from '../projection/damage.ts'
import type {
  GenerationDetails,
  ProjectionDetails,
  ProjectionsList,
  ViewAnswer,
} from './generations-contract.ts'
import { number, parseRequest } from './request.ts'
import type { System } from './system.ts'

const inputs = {
  show: z.object({ projection: z.string() }),
  view: z.object({
    projection: z.string(),
    generation: number(1).optional(),
    key: z.string().optional(),
    by: z.string().optional(),
    equals: z.union([z.string(), z.number(), z.boolean()]).optional(),
    from: z.union([z.string(), z.number()]).optional(),
    to: z.union([z.string(), z.number()]).optional(),
    order: z.enum(['ascending', 'descending']).optional(),
    limit: number(1, 1_000).default(20),
    cursor: z.string().optional(),
  }),
}

/** All projections with their generations. */
export async function listProjections(system: System): Promise<ProjectionsList> {
  const projections: ProjectionDetails[] = []
  for (const definition of system.app.projections.values()) {
    const details = await describe(system, definition)
    if (details) projections.push(details)
  }
  return { head: await system.log.head(), projections }
}

/** One projection with its generations. @throws CqrsError CQRS_UNKNOWN_PROJECTION */
export async function showProjection(system: System, input: unknown): Promise<ProjectionsList> {
  const { projection } = parseRequest(inputs.show, input)
  const details = await describe(system, findProjection(system.app, projection))
  return { head: await system.log.head(), projections: details ? [details] : [] }
}

/** Reads a generation of a view: a document by its key, or a page of documents. */
export async function readView(system: System, input: unknown): Promise<ViewAnswer> {
  const { projection, generation, key, ...find } = parseRequest(inputs.view, input)
  return system.views.use(
    projection,
    async ({ view, generation: { generation } }) => {
      const position = await view.position()
      if (key === undefined) return { ...(await view.find(withoutUndefined(find))), generation, position }
      const document = await view.get(key)
      return { items: document === undefined ? [] : [document], next: undefined, generation, position }
    },
    generation,
  )
}

async function describe(
  system: System,
  definition: ProjectionDefinition,
): Promise<ProjectionDetails | undefined> {
  const { name, kind, version, partitions } = definition
  const state: ProjectionControl | undefined = await system.control.projection(name)
  const active = state?.generations.find((one) => one.state === 'active')
  if (!state || !active) return undefined
  const served = await unlessDamaged(() => system.views.use(name, ({ view }) => view.position()))
  return {
    name,
    kind,
    version,
    partitions,
    paused: state.paused,
    active: active.generation,
    frozen: !fits(active, definition),
    generations: state.generations.map((one) => generationDetails(system, definition, one, served)),
  }
}

function generationDetails(
  system: System,
  definition: ProjectionDefinition,
  generation: Generation,
  served: Attempt<Position>,
): GenerationDetails {
  const { state, purpose, version, partitions, parts, error, report, by, requestedAt, changedAt } = generation
  const least = leastFar(parts)
  const eventsPerSecond = parts.reduce((sum, part) => sum + part.eventsPerSecond, 0)
  const isRead = state === 'active' && served.result !== undefined
  const position = isRead ? served.result : (least?.position ?? 0)
  const left = Math.max(0, ...parts.map((part) => part.target - part.position))
  const damage = state === 'active' ? served.error?.message : undefined
  const folding = state === 'building' && least?.phase === 'folding' && eventsPerSecond > 0
  return {
    generation: generation.generation,
    version,
    partitions,
    state,
    purpose,
    phase: least?.phase ?? 'gone',
    position,
    target: least?.target ?? 0,
    eventsPerSecond,
    secondsLeft: folding ? Math.ceil((left * parts.length) / eventsPerSecond) : null,
    error: error ?? damage ?? parts.find((part) => part.error !== undefined)?.error ?? null,
    bytes: placesOf(generation, definition).reduce((sum, place) => sum + system.diskUse(place), 0),
    report: report ?? null,
    by,
    requestedAt,
    changedAt,
  }
}

function leastFar(parts: readonly GenerationPart[]): GenerationPart | undefined {
  const order = ['gone', 'waiting', 'folding', 'indexing', 'following']
  return [...parts].sort(
    (one, other) => order.indexOf(one.phase) - order.indexOf(other.phase) || one.position - other.position,
  )[0]
}

function withoutUndefined<Value extends object>(value: Value) {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as {
    [Key in keyof Value]: Exclude<Value[Key], undefined>
  }
}
