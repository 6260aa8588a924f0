import { z } from 'zod'
import { assertAppShape } from './app-shape.ts'
import type { CommandDefinition, DeciderDefinition } from './decider.ts'
import { CqrsError } from './errors.ts'
import { type DomainEvent, EventCatalog } from './event.ts'
import type { HttpRoute } from './http-route.ts'
import type { ProjectionDefinition } from './projection.ts'
import type { QueryDefinition } from './query.ts'

/** A command and the decider that it belongs to. */
export interface AppCommand {
  readonly name: string
  readonly decider: DeciderDefinition
  readonly definition: CommandDefinition<unknown, unknown, DomainEvent>
}

/** Everything that an application consists of. */
export interface App {
  readonly name: string
  readonly events: EventCatalog
  readonly commands: ReadonlyMap<string, AppCommand>
  /** Projections and reactors, by name. */
  readonly projections: ReadonlyMap<string, ProjectionDefinition>
  readonly queries: ReadonlyMap<string, QueryDefinition>
}

/**
 * Assembles an application and checks that it does not contradict itself.
 *
 * @throws CqrsError CQRS_APP_INVALID if something is missing or unfinished, if a name is used twice or breaks the rules
 *   for names, or if a route is used twice or uses a path that is reserved for operators
 */
export function defineApp(options: {
  name: string
  deciders: readonly DeciderDefinition[]
  projections?: readonly ProjectionDefinition[]
  reactors?: readonly ProjectionDefinition[]
  queries?: readonly QueryDefinition[]
}): App {
  assertAppShape(options)
  const { name, deciders, projections = [], reactors = [], queries = [] } = options
  const views = [...projections, ...reactors]
  const commands = deciders.flatMap((decider) =>
    Object.entries(decider.commands).map(([command, definition]) => ({ name: command, decider, definition })),
  )
  const app: App = {
    name,
    events: new EventCatalog([...deciders, ...views].flatMap(({ events }) => events)),
    commands: byName('command', commands),
    projections: byName('projection', views),
    queries: byName('query', queries),
  }
  byName('decider', deciders)
  for (const query of queries) {
    if (query.projection && app.projections.get(query.projection.name) !== query.projection) {
      throw new CqrsError(
        'CQRS_APP_INVALID',
        `Query ${query.name} reads the projection ${query.projection.name}, which app ${name} does not list.`,
      )
    }
  }
  assertRoutes([
    ...commands.map(({ name, definition: { http, schema } }) => ({
      owner: `command ${name}`,
      route: http,
      schema,
    })),
    ...queries.map(({ name, http, input }) => ({ owner: `query ${name}`, route: http, schema: input })),
  ])
  return Object.freeze(app)
}

interface Routed {
  readonly owner: string
  readonly route: HttpRoute | undefined
  /** Of the input. */
  readonly schema: z.ZodType
}

/** A request has to mean one command or query: on an engine, the route that is registered last would displace the other. */
function assertRoutes(routed: readonly Routed[]): void {
  const owners = new Map<string, string>()
  for (const { owner, route, schema } of routed) {
    if (route === undefined) continue
    assertOwnPath(route.path)
    assertParameters(owner, route.path, schema)
    // Parameters are told apart by their place, not by their names.
    const shape = `${route.method} /${route.path.replace(/^\//, '').replaceAll(/:[^/]+/g, ':')}`
    const other = owners.get(shape)
    if (other !== undefined) {
      throw new CqrsError(
        'CQRS_APP_INVALID',
        `The ${other} and the ${owner} have the same route, ${route.method} ${route.path}; change the path of one.`,
      )
    }
    owners.set(shape, owner)
  }
}

/**
 * Parameters of a path become fields of the input: those that its schema does not have would be refused with every
 * request, or dropped. Only a plain object schema says which fields it has.
 */
function assertParameters(owner: string, path: string, schema: z.ZodType): void {
  if (!(schema instanceof z.ZodObject) || isLoose(schema)) return
  const fields = Object.keys(schema.shape)
  for (const [, parameter = ''] of path.matchAll(/(?<=^|\/):(\w+)(?=\/|$)/g)) {
    if (fields.includes(parameter)) continue
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `The path of the ${owner}, ${path}, has the parameter :${parameter}, but its schema has no such field; ` +
        `it has: ${fields.join(', ') || 'none'}.`,
    )
  }
}

/** Whether an object schema accepts fields that it does not name. */
function isLoose({ def: { catchall } }: z.ZodObject): boolean {
  return catchall !== undefined && !(catchall instanceof z.ZodNever)
}

/** First path segments that are reserved for operators in every app. */
const RESERVED = ['ops', 'health', 'metrics', 'console']

function assertOwnPath(path: string): void {
  const [first = ''] = path.replace(/^\//, '').split('/')
  if (!RESERVED.includes(first)) return
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `The route ${path} begins with /${first}, which is reserved for operators; choose another path.`,
  )
}

/** Names become parts of function ids, file names and queue names. */
const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/

function byName<Item extends { name: string }>(
  kind: string,
  items: readonly Item[],
): ReadonlyMap<string, Item> {
  const map = new Map<string, Item>()
  for (const item of items) {
    if (!NAME.test(item.name) || item.name.length > 60) {
      throw new CqrsError(
        'CQRS_APP_INVALID',
        `The ${kind} "${item.name}" needs another name: lower-case words joined by "-", at most 60 characters.`,
      )
    }
    if (map.has(item.name)) {
      throw new CqrsError(
        'CQRS_APP_INVALID',
        `The app uses the ${kind} name "${item.name}" twice; rename one.`,
      )
    }
    map.set(item.name, item)
  }
  return map
}
