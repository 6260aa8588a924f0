import { ERRORS, isCqrsError } from '../../kernel/errors.ts'
import type { HttpRoute } from '../../kernel/http-route.ts'
import { describeIssues, type InputIssue } from '../../kernel/input.ts'
import type { Rejection } from '../../kernel/rejection.ts'

/** What the engine's http trigger hands to a function. */
export interface HttpRequest {
  readonly query_params: Readonly<Record<string, string>>
  readonly path_params: Readonly<Record<string, string>>
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** What the engine's http trigger expects in return. */
export interface HttpResponse {
  readonly status_code: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
}

/** Seconds that a client is asked to wait when something is down or behind, if the error does not say. */
const RETRY_AFTER_SECONDS = 1

const JSON_TYPE = /^\s*application\/json\s*(;|$)/i

const NOT_JSON: InputIssue = {
  field: 'Content-Type',
  problem: 'must be application/json for the body to be read',
}

const NO_OBJECT: InputIssue = { field: '(input)', problem: 'must be a JSON object' }

/** Whether a function was called by an HTTP request rather than by another worker. */
export function isHttpRequest(payload: unknown): payload is HttpRequest {
  if (typeof payload !== 'object' || payload === null) return false
  const { trigger, path_params } = payload as { trigger?: { type?: unknown }; path_params?: unknown }
  return trigger?.type === 'http' && typeof path_params === 'object' && path_params !== null
}

/** The trigger configuration of a route. */
export function httpTrigger({ method, path }: HttpRoute) {
  return { api_path: path, http_method: method }
}

export function success(body: unknown, status = 200, headers: Record<string, string> = {}): HttpResponse {
  return { status_code: status, headers: { 'Content-Type': 'application/json', ...headers }, body }
}

/** An error that the caller can do something about. */
export function failure(
  status: number,
  error: { code: string; message: string } & Record<string, unknown>,
  headers: Record<string, string> = {},
): HttpResponse {
  return success({ error }, status, headers)
}

/** 400, with every field that does not fit. */
export function invalidInput(issues: readonly InputIssue[]): HttpResponse {
  return failure(400, { code: 'CQRS_VALIDATION', message: describeIssues(issues), issues })
}

/**
 * What is wrong with a body that was sent: it is not declared as JSON, or it arrived as `null`, which is what the real
 * engine hands over for a body that is not JSON. Without this check the caller would be told that every field is
 * missing or, if no field is required, the request would be carried out as if it had no body.
 *
 * An engine may take `text/plain; x=application/json` for JSON, but a page of any site may send that without a
 * preflight. So the type is checked here, too.
 */
export function bodyIssue({ body, headers }: HttpRequest): InputIssue | undefined {
  const isSent = Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined
  if (!isSent) return undefined
  if (!JSON_TYPE.test(headers['content-type'] ?? '')) return NOT_JSON
  return body === null ? NO_OBJECT : undefined
}

/** 404 or 409, with the reason. */
export function rejected(
  { reason, code, message, details }: Rejection,
  headers: Record<string, string> = {},
): HttpResponse {
  return failure(reason === 'not-found' ? 404 : 409, { code, message, details }, headers)
}

/** The answer to an error that was thrown. An error that is not a CqrsError is thrown again, and becomes a 500. */
export function failed(error: unknown): HttpResponse {
  if (!isCqrsError(error)) throw error
  const { httpStatus, retry } = ERRORS[error.code]
  const { code, message, details } = error
  const { retryAfterSeconds = RETRY_AFTER_SECONDS, issues } = details
  return failure(
    httpStatus,
    // The issues of an input are always at the same place of the answer, whoever found them.
    { code, message, details, ...(issues !== undefined && { issues }) },
    retry ? { 'Retry-After': String(retryAfterSeconds) } : {},
  )
}

/**
 * The input of a request: its own fields together with the path parameters, which the engine hands over
 * percent-encoded. A field that is in both must have the same value.
 */
export function requestInput(
  fields: unknown,
  pathParams: Readonly<Record<string, string>>,
): { ok: true; input: unknown } | { ok: false; issues: InputIssue[] } {
  const given = fields ?? {}
  if (typeof given !== 'object' || Array.isArray(given)) {
    return { ok: false, issues: [NO_OBJECT] }
  }
  const params: Record<string, string> = {}
  const issues: InputIssue[] = []
  for (const [field, encoded] of Object.entries(pathParams)) {
    const value = decode(encoded)
    if (value === undefined) issues.push({ field, problem: 'is not valid percent-encoding' })
    else if (Object.hasOwn(given, field) && (given as Record<string, unknown>)[field] !== value) {
      issues.push({ field, problem: 'differs from the one in the path; leave it out of the body' })
    } else params[field] = value
  }
  return issues.length > 0 ? { ok: false, issues } : { ok: true, input: { ...given, ...params } }
}

function decode(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return undefined
  }
}

/** The input that another worker gave, without the field that the engine adds to it. */
export function directInput(payload: unknown): unknown {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return payload
  const { _caller_worker_id, ...input } = payload as Record<string, unknown>
  return input
}
