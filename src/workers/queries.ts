import { dataPaths } from '../config/paths.ts'
import { systemId } from '../config/system-id.ts'
import { type InputIssue, parseInput } from '../kernel/input.ts'
import { toPosition } from '../kernel/position.ts'
import type { QueryDefinition } from '../kernel/query.ts'
import { isRejection, type Rejection } from '../kernel/rejection.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import type { Freshness } from '../projection/contract.ts'
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
} from './link/http.ts'
import { type OfferedFunction, offer } from './link/offer.ts'
import { toRemote } from './link/remote-error.ts'
import { openReaders } from './projections/open-readers.ts'
import { type Source, viewSource, WaitingReads } from './projections/view-source.ts'
import type { StartRole } from './role.ts'

/** The answer of a query: the result, or why there is none, and at least how fresh the data was ({@link Freshness}). */
type Answer =
  | ({ readonly kind: 'answered'; readonly result: unknown } & Freshness)
  | ({ readonly kind: 'rejected'; readonly rejection: Rejection } & Freshness)
  | { readonly kind: 'invalid'; readonly issues: readonly InputIssue[] }

/**
 * The queries worker: `query::<name>` for every query of the app, and its HTTP route. With `after` a query
 * waits until its view has reached that position, so that a client reads what it wrote.
 */
export const startQueries: StartRole = async ({ app, config, iii, log }) => {
  const events = openSqliteEventLog({ path: dataPaths(config.data).events })
  const { readers, control } = await openReaders(app, config.data)
  const waiting = new WaitingReads(config.queries.maxWaiting)
  const sources = new Map<string, Source>(
    [...app.projections.keys()].map((name) => [
      name,
      viewSource(name, { readers, events, waitMs: config.queries.waitForPositionMs, waiting }),
    ]),
  )
  const logSource: Source = {
    read: async (_, run) => run(events, { position: await events.head(), parked: 0 }),
  }

  const functions = [...app.queries.values()].map((query): OfferedFunction => {
    const source = (query.projection && sources.get(query.projection.name)) ?? logSource
    const queryLog = log.child({ query: query.name })
    const handle = async (payload: unknown) => {
      if (isHttpRequest(payload)) return overHttp(query, source, payload)
      const { after, ...input } = (directInput(payload) ?? {}) as Record<string, unknown>
      const answer = await ask(query, source, input, after).catch((error: unknown) => {
        throw toRemote(error)
      })
      queryLog.debug({ outcome: answer.kind }, 'query')
      return answer
    }
    return { id: `query::${query.name}`, description: `Query ${query.name}.`, http: query.http, handle }
  })
  const offered = await offer(iii, functions, log, systemId(config.data))

  return {
    async stop() {
      offered.unregister()
      await readers.close()
      await control.close()
      await events.close()
    },
  }
}

async function ask(query: QueryDefinition, source: Source, input: unknown, after: unknown): Promise<Answer> {
  const parsed = parseInput(query.input, input)
  if (!parsed.ok) return { kind: 'invalid', issues: parsed.issues }
  const least = after === undefined ? 0 : toPosition(after)
  return source.read(least, async (reader, freshness): Promise<Answer> => {
    const result = await query.run(reader, parsed.value)
    return isRejection(result)
      ? { kind: 'rejected', rejection: result, ...freshness }
      : { kind: 'answered', result, ...freshness }
  })
}

async function overHttp(query: QueryDefinition, source: Source, request: HttpRequest): Promise<HttpResponse> {
  const { after, ...fields } = request.query_params
  const merged = requestInput(fields, request.path_params)
  if (!merged.ok) return invalidInput(merged.issues)
  try {
    const answer = await ask(query, source, merged.input, after)
    if (answer.kind === 'invalid') return invalidInput(answer.issues)
    const headers = freshnessHeaders(answer)
    if (answer.kind === 'rejected') return rejected(answer.rejection, headers)
    return success(answer.result, query.http?.status, headers)
  } catch (error) {
    return failed(error)
  }
}

function freshnessHeaders({ position, parked }: Freshness): Record<string, string> {
  return {
    'X-Projection-Position': String(position),
    ...(parked > 0 && { 'X-Projection-Parked': String(parked) }),
  }
}
