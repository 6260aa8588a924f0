import type { HttpRoute } from '../../kernel/http-route.ts'
import type { Operation, Operator } from '../../operator/operation.ts'
import {
  bodyIssue,
  failed,
  type HttpRequest,
  type HttpResponse,
  invalidInput,
  requestInput,
  success,
} from '../link/http.ts'

/**
 * Headers of every answer about the inside of the system: it must not be cached, framed, sniffed for its type, or run.
 */
export const SECURITY_HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
} as const

/** The route of an operation. */
export function routeOf({ http }: Pick<Operation, 'http'>): HttpRoute {
  const [method, path] = http.split(' ') as ['GET' | 'POST', string]
  return { method, path }
}

/** The token of `Authorization: Bearer <token>`; a token anywhere else in a request is ignored. */
export function bearerToken({ headers }: HttpRequest): string | undefined {
  return /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
}

/** Who sends a request, as far as the request says; `X-Operator` names a person. */
export function operatorOf({ headers }: HttpRequest): Operator {
  const agent = headers['user-agent']?.slice(0, 100)
  const address = headers['x-forwarded-for']?.slice(0, 100)
  const place = ['http', address && `from ${address}`, agent && `with ${agent}`].filter(Boolean).join(' ')
  return { by: headers['x-operator']?.slice(0, 100) || 'operator', from: place }
}

/**
 * Answers a request for an operation. Its input is the query (GET) or the body (POST), together with the path
 * parameters.
 *
 * @param authorize throws if the caller may not do this; called before anything else about the request is checked
 * @param perform carries out the operation; throws what the operation throws
 */
export async function overHttp(
  request: HttpRequest,
  method: HttpRoute['method'],
  { authorize, perform }: { authorize(): void; perform(input: unknown): Promise<unknown> },
): Promise<HttpResponse> {
  return secured(async () => {
    authorize()
    const issue = bodyIssue(request)
    if (issue) return invalidInput([issue])
    const merged = requestInput(method === 'GET' ? request.query_params : request.body, request.path_params)
    if (!merged.ok) return invalidInput(merged.issues)
    return success(await perform(merged.input))
  })
}

/**
 * Adds {@link SECURITY_HEADERS} to an answer; a CqrsError becomes the answer that it stands for. Undefined if the
 * answer was already given in another way.
 */
export async function secured(answer: () => Promise<HttpResponse>): Promise<HttpResponse>
export async function secured(
  answer: () => Promise<HttpResponse | undefined>,
): Promise<HttpResponse | undefined>
export async function secured(
  answer: () => Promise<HttpResponse | undefined>,
): Promise<HttpResponse | undefined> {
  const response = await answer().catch(failed)
  if (!response) return undefined
  const challenge: Record<string, string> =
    response.status_code === 401 ? { 'WWW-Authenticate': 'Bearer realm="operators"' } : {}
  return { ...response, headers: { ...SECURITY_HEADERS, ...response.headers, ...challenge } }
}
