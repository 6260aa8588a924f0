import type { IncomingMessage } from 'node:http'
import type { RawJson } from '../raw-json.ts'
import { type TraceContext, traceOf } from '../trace-context.ts'
import type { Route } from './routes.ts'

/** What a header value may hold. As in the real engine, functions get any other value as an empty string. */
const VISIBLE_ASCII = /^[\t\x20-\x7e]*$/

/** A request as functions see it, every part as JSON text. */
export interface HttpCall {
  readonly queryParams: RawJson
  readonly pathParams: RawJson
  readonly headers: RawJson
  readonly method: string
  readonly route: Route
  readonly body: RawJson
  readonly trace: TraceContext
}

/** Path and query of a request target, which may also be an absolute URL. */
export function splitTarget(target: string): { path: string; query: string } {
  const relative = target.startsWith('/') ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  const [beforeHash = ''] = relative.split('#', 1)
  const mark = beforeHash.indexOf('?')
  const path = mark === -1 ? beforeHash : beforeHash.slice(0, mark)
  return { path: path === '' ? '/' : path, query: mark === -1 ? '' : beforeHash.slice(mark + 1) }
}

/** Gathers the parts of a request. If a header or parameter is repeated, the last one counts. */
export function readCall(
  request: IncomingMessage,
  query: string,
  route: Route,
  pathParams: Map<string, string>,
  body: RawJson,
): HttpCall {
  const headers = new Map<string, string>()
  const raw = request.rawHeaders
  for (let at = 0; at < raw.length; at += 2) {
    const value = raw[at + 1] ?? ''
    headers.set((raw[at] ?? '').toLowerCase(), VISIBLE_ASCII.test(value) ? value : '')
  }
  return {
    queryParams: objectOf(new URLSearchParams(query)),
    pathParams: objectOf(pathParams),
    headers: objectOf(headers),
    method: request.method ?? 'GET',
    route,
    body,
    trace: traceOf(request.headers),
  }
}

/** The payload of a route's function and of its condition. */
export function callPayload(call: HttpCall): RawJson {
  const path = JSON.stringify(call.route.path)
  const method = JSON.stringify(call.method)
  return `{"query_params":${call.queryParams},"path_params":${call.pathParams},"headers":${call.headers},"path":${path},"method":${method},"body":${call.body},"trigger":{"type":"http","path":${path},"method":${method}}}`
}

/** The payload of a middleware function. */
export function middlewarePayload(call: HttpCall): RawJson {
  const method = JSON.stringify(call.method)
  return `{"phase":"preHandler","request":{"path_params":${call.pathParams},"query_params":${call.queryParams},"headers":${call.headers},"method":${method}},"context":{}}`
}

/** An object without a prototype keeps a key like `__proto__` as plain data. */
function objectOf(entries: Iterable<readonly [string, string]>): RawJson {
  const object: Record<string, string> = Object.create(null)
  for (const [key, value] of entries) object[key] = value
  return JSON.stringify(object)
}
