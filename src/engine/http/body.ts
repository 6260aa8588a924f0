import type { IncomingMessage } from 'node:http'
import { depthOf, hasProtoKey, type RawJson } from '../raw-json.ts'

/** The body of a request, or why it is refused. */
export type Body =
  | { readonly kind: 'json'; readonly json: RawJson; readonly bytes: Buffer }
  /** Not JSON: left unread, so that a function can read it from its channel. */
  | { readonly kind: 'stream' }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'malformed'; readonly why: string }
  | { readonly kind: 'aborted' }

/**
 * Reads a request's body, at most `maxBytes` of it, if its content type says that it is JSON.
 *
 * JSON that nests deeper than `maxDepth`, or that has a key `__proto__`, is refused: SDKs copy objects
 * key by key and would overflow their stack or change a prototype.
 */
export async function readBody(
  request: IncomingMessage,
  limits: { readonly maxBytes: number; readonly maxDepth: number },
): Promise<Body> {
  if (!isJson(request.headers['content-type'])) return { kind: 'stream' }
  if (Number(request.headers['content-length'] ?? 0) > limits.maxBytes) return { kind: 'too_large' }
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      bytes += (chunk as Buffer).length
      if (bytes > limits.maxBytes) return { kind: 'too_large' }
      chunks.push(chunk as Buffer)
    }
  } catch {
    return { kind: 'aborted' }
  }
  return parseJson(Buffer.concat(chunks), limits.maxDepth)
}

const JSON_TYPE = /^\s*application\/json\s*(;|$)/i

/**
 * Whether a content type is JSON, whatever its parameters are. The type itself must match: a page of any site may send
 * `text/plain; x=application/json` without a preflight (https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
 */
function isJson(contentType = ''): boolean {
  return JSON_TYPE.test(contentType)
}

function parseJson(bytes: Buffer, maxDepth: number): Body {
  if (bytes.length === 0) return { kind: 'json', json: 'null', bytes }
  let json: string
  try {
    json = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    JSON.parse(json)
  } catch (error) {
    return { kind: 'malformed', why: `The body is not valid JSON: ${(error as Error).message}` }
  }
  if (depthOf(json) > maxDepth) {
    return { kind: 'malformed', why: `The body nests deeper than ${maxDepth} levels.` }
  }
  if (hasProtoKey(json)) return { kind: 'malformed', why: 'The body has a key __proto__, which is refused.' }
  return { kind: 'json', json: json.trim(), bytes }
}
