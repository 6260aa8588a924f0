import { randomUUID } from 'node:crypto'
import type { BuiltinHandler } from './functions.ts'
import type { ErrorBody, Outcome } from './outcome.ts'
import { failure, NOTHING, rawSuccess } from './outcome.ts'

/** The address of an HTTP function and how to call it, as the worker that registered it says. */
export interface HttpEndpoint {
  readonly url: string
  readonly method: string
  readonly timeoutMs: number
  readonly headers: Readonly<Record<string, string>>
}

type Fields = Readonly<Record<string, unknown>>

/** What all HTTP functions of an engine have in common. */
export interface HttpFunctionOptions {
  /**
   * Whether the engine calls HTTP functions. That is safe only while all workers run on this machine: those could call
   * the URLs themselves. Workers on other machines could use the engine to reach services that only this machine can
   * reach (server-side request forgery).
   */
  readonly httpFunctionsAllowed: boolean
  /** The clock, in ms since 1970. */
  readonly now: () => number
}

const NOT_ALLOWED = failure(
  'url_validation_failed',
  'The embedded engine calls HTTP functions only while it accepts workers from this machine only. Bind it to 127.0.0.1, or use a real iii engine.',
)

const NOT_FOLLOWED = '. Redirects are not followed: register the function with the URL to which it leads.'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
const DEFAULT_TIMEOUT_MS = 30_000

/** Reads the field `invocation` of a registration. Returns a string that says what is wrong if it is invalid. */
export function readHttpEndpoint(invocation: Fields): HttpEndpoint | string {
  const { url, method = 'POST', timeout_ms, headers, auth } = invocation
  if (typeof url !== 'string' || !/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
    return 'its url must be an http or https URL'
  }
  if (typeof method !== 'string' || !METHODS.includes(method.toUpperCase())) {
    return `its method must be one of ${METHODS.join(', ')}`
  }
  if (auth !== undefined && auth !== null) {
    return 'the embedded engine adds no credentials; put them into its headers'
  }
  const timeoutMs = timeout_ms ?? DEFAULT_TIMEOUT_MS
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0)) return 'its timeout_ms must be a number above 0'
  const all = Object.entries(typeof headers === 'object' && headers !== null ? headers : {})
  const texts = all.filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  if (texts.length < all.length) return 'its headers must be strings'
  return { url, method: method.toUpperCase(), timeoutMs, headers: Object.fromEntries(texts) }
}

/**
 * Makes the handler of a function behind a URL. It sends the payload as JSON, and the JSON that comes back is the
 * result. Redirects are not followed: like each status that is no success, one is an error.
 */
export function callHttpFunction(
  functionId: string,
  endpoint: HttpEndpoint,
  { httpFunctionsAllowed, now }: HttpFunctionOptions,
): BuiltinHandler {
  const { url, method, timeoutMs } = endpoint
  return async ({ data }) => {
    if (!httpFunctionsAllowed) return NOT_ALLOWED
    try {
      const response = await fetch(url, {
        method,
        headers: {
          'content-type': 'application/json',
          'x-iii-function-path': functionId,
          'x-iii-invocation-id': randomUUID(),
          'x-iii-timestamp': String(Math.floor(now() / 1_000)),
          ...endpoint.headers,
        },
        // The Fetch standard does not allow a body with GET.
        ...(method !== 'GET' && { body: data }),
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      })
      return outcomeOf(response.status, await response.text())
    } catch (error) {
      const { message, cause } = error as Error
      const why = cause instanceof Error ? `${message}: ${cause.message}` : message
      return failure('http_request_failed', `${method} ${url} failed: ${why}`)
    }
  }
}

function outcomeOf(status: number, text: string): Outcome {
  const json = readJson(text)
  if (status < 200 || status >= 300) return { ok: false, error: errorOf(status, json?.value) }
  if (text === '') return NOTHING
  if (json !== undefined) return rawSuccess(text.trim() === 'null' ? undefined : text)
  return failure('invalid_response', `The answer with status ${status} is not JSON.`)
}

function errorOf(status: number, said: unknown): ErrorBody {
  const error = isObject(said) && isObject(said.error) ? said.error : {}
  const isRedirect = status >= 300 && status < 400
  return {
    code: typeof error.code === 'string' ? error.code : 'http_error',
    message:
      typeof error.message === 'string' ? error.message : `HTTP ${status}${isRedirect ? NOT_FOLLOWED : ''}`,
  }
}

function readJson(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}
