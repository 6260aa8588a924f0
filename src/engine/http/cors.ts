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

/** Methods by which nothing is changed, so that any page may send them, though it may not read the answer. */
const SAFE = ['GET', 'HEAD', 'OPTIONS']

/**
 * Whether a page of another site sends a request that may change something, and that its origin was not allowed to. A
 * browser asks beforehand only for some: it sends one that has no body, or a form, to whatever listens on the user's own machine
 * (https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header).
 */
export function isForeign(cors: CorsOptions | undefined, request: IncomingMessage): boolean {
  const { origin = '' } = request.headers
  if (request.headers['sec-fetch-site'] !== 'cross-site' || SAFE.includes(request.method ?? '')) return false
  return cors === undefined || !(allowsAny(cors) || cors.allowedOrigins.includes(origin))
}

function allowsAny({ allowedOrigins }: CorsOptions): boolean {
  return allowedOrigins.length === 0 || allowedOrigins.includes('*')
}

/** The answer to the question of a browser whether it may send a request; undefined if it is none. */
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
