import { z } from 'zod'
import { activeOf, type Generation, type ProjectionControl } from '../control/contract.ts'
import { isUnderWay } from '../control/machine.ts'
import { fits, placesOf } from '../generations/place.ts'
import { findProjection } from '../generations/view-readers.ts'
import { PAGE_CHARACTERS } from '../kernel/json-size.ts'
import type { Position } from '../kernel/position.ts'
import type { ProjectionDefinition } from '../kernel/projection.ts'
import { unlessDamaged } from '../projection/damage.ts'
import { parityVerdict } from '../projection/parity.ts'
import { progressOf } from './build-progress.ts'
import type {
  GenerationDetails,
  ProjectionDetails,
  ProjectionsList,
  ViewAnswer,
} from './generations-contract.ts'
import { number, parseRequest } from './request.ts'
import type { System } from './system.ts'

const inputs = {
  show: z.strictObject({ projection: z.string() }),
  view: z.strictObject({
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
      if (key === undefined) {
        return { ...(await view.find(withoutUndefined(find), PAGE_CHARACTERS)), generation, position }
      }
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
  const active = activeOf(state)
  if (!state || !active) return undefined
  const served = await unlessDamaged(() => system.views.use(name, ({ view }) => view.position()))
  const generations: GenerationDetails[] = []
  for (const one of state.generations) {
    const position = one === active ? served.result : await positionOf(system, one)
    const damage = one === active ? served.error?.message : undefined
    generations.push(generationDetails(system, definition, one, { position, damage }))
  }
  return {
    name,
    kind,
    version,
    partitions,
    paused: state.paused,
    active: active.generation,
    frozen: !fits(active, definition),
    generations,
  }
}

/**
 * The position of a generation that does not serve, read from its view. What its builder noted is outdated by now,
 * and for a generation that was never built beside another one nothing was noted. Undefined while it is being built,
 * and if the view cannot be read.
 */
async function positionOf(
  { views }: System,
  { projection, generation, state }: Generation,
): Promise<Position | undefined> {
  if (isUnderWay(state)) return undefined
  return views.use(projection, ({ view }) => view.position(), generation).catch(() => undefined)
}

function generationDetails(
  system: System,
  definition: ProjectionDefinition,
  generation: Generation,
  read: { readonly position: Position | undefined; readonly damage: string | undefined },
): GenerationDetails {
  const { state, purpose, version, partitions, parts, error, report, by, requestedAt, changedAt } = generation
  return {
    generation: generation.generation,
    version,
    partitions,
    state,
    purpose,
    ...progressOf(generation, read.position),
    error: error ?? read.damage ?? parts.find((part) => part.error !== undefined)?.error ?? null,
    bytes: placesOf(generation, definition).reduce((sum, place) => sum + system.diskUse(place), 0),
    report: report ?? null,
    ...(report && { verdict: parityVerdict(report) }),
    by,
    requestedAt,
    changedAt,
  }
}

function withoutUndefined<Value extends object>(value: Value) {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as {
    [Key in keyof Value]: Exclude<Value[Key], undefined>
  }
}
