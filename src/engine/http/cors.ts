import type { IncomingMessage } from 'node:http'
import type { CorsOptions } from '../options.ts'
import type { Answer } from './answer.ts'

/** The headers that let a page of another origin use the answer to `request`, if it may. */
export function corsHeaders(cors: CorsOptions | undefined, request: IncomingMessage): Answer['headers'] {
  if (cors === undefined) return []
  const { origin } = request.headers
  const anyOrigin = cors.allowedOrigins.length === 0 || cors.allowedOrigins.includes('*')
  if (anyOrigin) return [['access-control-allow-origin', '*'], ...EXPOSE]
  const vary = ['vary', 'origin'] as const
  if (origin === undefined || !cors.allowedOrigins.includes(origin)) return [vary]
  return [vary, ['access-control-allow-origin', origin], ...EXPOSE]
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
