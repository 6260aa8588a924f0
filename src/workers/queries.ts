import { dataPaths, viewPath } from '../config/paths.ts'
import { CqrsError } from '../kernel/errors.ts'
import { parseInput } from '../kernel/input.ts'
import { type Position, toPosition } from '../kernel/position.ts'
import type { QueryDefinition } from '../kernel/query.ts'
import { isRejection, type Rejection } from '../kernel/rejection.ts'
import { unitsOf } from '../kernel/unit.ts'
import type { EventLog } from '../log/contract.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import type { ReadableView } from '../projection/contract.ts'
import { type QueriedView, wholeView } from '../projection/partitioned-view.ts'
import { PositionWatch } from '../projection/position-watch.ts'
import { openSqliteViewReader } from '../projection/sqlite/view-reader.ts'
import {
  directInput,
  failed,
  type HttpRequest,
  type HttpResponse,
  invalidInput,
  isHttpRequest,
  rejected,
  requestInput,
  success,
} from './http.ts'
import { type OfferedFunction, offer } from './offer.ts'
import type { StartRole } from './role.ts'

/** Where a query reads, and how it waits for its view to get somewhere. */
interface Source {
  readonly reader: unknown
  /** How far the source is; what is read afterwards is at least as new. */
  position(): Promise<Position>
  reach(after: Position): Promise<void>
}

/** What a query answers: the result with the position it is at least as new as, or why there is none. */
type Answer =
  | { readonly kind: 'answered'; readonly result: unknown; readonly position: Position }
  | { readonly kind: 'rejected'; readonly rejection: Rejection }
  | { readonly kind: 'invalid'; readonly issues: readonly { field: string; problem: string }[] }

/**
 * The queries worker: `query::<name>` for every query of the app, and its HTTP route. With `after` a query
 * waits until its view has reached that position, so that a client reads what it wrote.
 */
export const startQueries: StartRole = async ({ app, config, iii, log }) => {
  const events = openSqliteEventLog({ path: dataPaths(config.data).events })
  const readers: ReadableView[] = []
  const sources = new Map<string, Source>()
  for (const projection of app.projections.values()) {
    const { name } = projection
    const parts = unitsOf(projection).map(({ partition }) =>
      openSqliteViewReader(viewPath(config.data, name, { partition }), projection),
    )
    readers.push(...parts)
    sources.set(name, viewSource(name, wholeView(parts), events, config.queries.waitForPositionMs))
  }
  const logSource: Source = { reader: events, position: () => events.head(), reach: async () => undefined }

  const functions = [...app.queries.values()].map((query): OfferedFunction => {
    const source = (query.projection && sources.get(query.projection.name)) ?? logSource
    const queryLog = log.child({ query: query.name })
    const handle = async (payload: unknown) => {
      if (isHttpRequest(payload)) return overHttp(query, source, payload)
      const { after, ...input } = (directInput(payload) ?? {}) as Record<string, unknown>
      const answer = await ask(query, source, input, after)
      queryLog.debug({ outcome: answer.kind }, 'query')
      return answer
    }
    return { id: `query::${query.name}`, description: `Query ${query.name}.`, http: query.http, handle }
  })
  const offered = await offer(iii, functions, log)

  return {
    async stop() {
      offered.unregister()
      for (const reader of readers) reader.close()
      await events.close()
    },
  }
}

function viewSource(name: string, view: QueriedView, events: EventLog, waitMs: number): Source {
  const watch = new PositionWatch({ read: () => view.position(), pollMs: 5 })
  return {
    reader: view,
    position: () => view.position(),
    async reach(after) {
      if ((await view.position()) >= after) return
      const head = await events.head()
      if (after > head) {
        throw new CqrsError('CQRS_VALIDATION', `after: ${after} is beyond the log, which ends at ${head}.`)
      }
      if (await watch.reached(after, waitMs)) return
      const position = await view.position()
      throw new CqrsError(
        'CQRS_VIEW_BEHIND',
        `The view ${name} is at ${position} and did not reach ${after} within ${waitMs} ms; try again shortly.`,
        { details: { position, lag: head - position } },
      )
    },
  }
}

async function ask(query: QueryDefinition, source: Source, input: unknown, after: unknown): Promise<Answer> {
  const parsed = parseInput(query.input, input)
  if (!parsed.ok) return { kind: 'invalid', issues: parsed.issues }
  if (after !== undefined) await source.reach(toPosition(after))
  const position = await source.position()
  const result = await query.run(source.reader, parsed.value)
  return isRejection(result)
    ? { kind: 'rejected', rejection: result }
    : { kind: 'answered', result, position }
}

async function overHttp(query: QueryDefinition, source: Source, request: HttpRequest): Promise<HttpResponse> {
  const { after, ...fields } = request.query_params
  const merged = requestInput(fields, request.path_params)
  if (!merged.ok) return invalidInput(merged.issues)
  try {
    const answer = await ask(query, source, merged.input, after)
    if (answer.kind === 'invalid') return invalidInput(answer.issues)
    if (answer.kind === 'rejected') return rejected(answer.rejection)
    return success(answer.result, query.http?.status, { 'X-Projection-Position': String(answer.position) })
  } catch (error) {
    return failed(error)
  }
}
