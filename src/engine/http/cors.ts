import type { IncomingMessage } from 'node:http'
import type { CorsOptions } from '../options.ts'
import type { Answer } from './answer.ts'

/** The headers that let a page of another origin use the answer to `request`, if it may. */
export function corsHeaders(cors: CorsOptions | undefined, request: IncomingMessage): Answer['headers'] {
  if (cors === undefined) return []
  const { origin } = request.headers
  if (allowsAny(cors)) return [['access-control-allow-origin', '*'], ...EXPOSE]
  const vary = ['vary', 'origin'] as const
  if (origin === undefined || !cors.allowedOrigins.includes(origin)) return [vary]
  return [vary, ['access-control-allow-origin', origin], ...EXPOSE]
}

/** Methods that change nothing. Any page may send them, though it may not read the answer. */
const SAFE = ['GET', 'HEAD', 'OPTIONS']

/**
 * Whether a page of another site, whose origin is not allowed, sends a request that may change something. Browsers ask
 * for permission (preflight) only for some requests. A request without a body, or with a form, goes to whatever listens
 * on the user's own machine (https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header).
 */
export function isForeign(cors: CorsOptions | undefined, request: IncomingMessage): boolean {
  const { origin = '' } = request.headers
  if (request.headers['sec-fetch-site'] !== 'cross-site' || SAFE.includes(request.method ?? '')) return false
  return cors === undefined || !(allowsAny(cors) || cors.allowedOrigins.includes(origin))
}

function allowsAny({ allowedOrigins }: CorsOptions): boolean {
  return allowedOrigins.length === 0 || allowedOrigins.includes('*')
}

/** The answer to a browser's preflight request; undefined if the request is not one. */
export function preflight(cors: CorsOptions | undefined, request: IncomingMessage): Answer | undefined {
  if (cors === undefined || request.method !== 'OPTIONS') return undefined
  const methods = cors.allowedMethods.length === 0 ? '*' : cors.allowedMethods.join(',')
  const headers = [
    ['access-control-allow-methods', methods],
    ['access-control-allow-headers', '*'],
  ] as const
  return { status: 200, headers, body: '' }
}

const EXPOSE = [['access-control-expose-headers', '*']] as const
