import { type ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import { type RawJson, scanObject } from '../raw-json.ts'

/** An HTTP answer: what a function returned, or what the engine says itself. */
export interface Answer {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  /** A stream is sent as it arrives; if it fails, the connection is cut. */
  readonly body: string | Readable
}

/** An answer of the engine itself: `{"error":{"code","message",…}}`, plus `more` beside the error. */
export function errorAnswer(
  status: number,
  error: { readonly code: string; readonly message: string; readonly error_id?: string },
  headers: Answer['headers'] = [],
  more: Readonly<Record<string, unknown>> = {},
): Answer {
  return jsonAnswer(status, JSON.stringify({ error, ...more }), headers)
}

/**
 * Reads `{status_code?, headers?, body?}` from what a function or a middleware returned. What is
 * missing or does not fit falls back to 200, no headers and `fallbackBody`.
 */
export function answerFrom(result: RawJson, fallbackBody: RawJson): Answer {
  const fields = result.startsWith('{') ? scanObject(result).fields : new Map<string, RawJson>()
  const status = readStatus(fields.get('status_code'))
  const headers = readHeaders(fields.get('headers'))
  const body = fields.get('body') ?? fallbackBody
  const contentType = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1]
  if (contentType === undefined) return jsonAnswer(status, body, headers)
  // If a content type is given, a string is the body itself, not its JSON text.
  if (body.startsWith('"')) return { status, headers, body: JSON.parse(body) as string }
  return { status, headers, body: body === 'null' ? '' : body }
}

/** Writes an answer; headers that HTTP does not allow are left out. */
export function writeAnswer(response: ServerResponse, answer: Answer): void {
  response.statusCode = answer.status
  for (const [name, value] of answer.headers) {
    if (isAllowedHeader(name, value)) response.appendHeader(name, value)
  }
  const hasBody = answer.status !== 204 && answer.status !== 304
  if (typeof answer.body !== 'string') {
    if (hasBody && response.req.method !== 'HEAD') {
      pipeline(answer.body, response, () => {})
      response.flushHeaders()
    } else {
      answer.body.destroy()
      response.end()
    }
    return
  }
  const body = hasBody ? answer.body : ''
  if (hasBody) response.setHeader('content-length', Buffer.byteLength(body))
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

function jsonAnswer(status: number, body: RawJson, headers: Answer['headers']): Answer {
  return { status, headers: [...headers, ['content-type', 'application/json']], body }
}

function readStatus(raw: RawJson | undefined): number {
  if (raw === undefined || !/^\d+$/.test(raw)) return 200
  const status = Number(raw)
  return status >= 200 && status <= 999 ? status : 200
}

/** Headers come as an object of strings or as a list of `Name: value` lines. */
function readHeaders(raw: RawJson | undefined): [string, string][] {
  const headers: unknown = raw === undefined ? undefined : JSON.parse(raw)
  if (Array.isArray(headers)) {
    return headers.flatMap((line): [string, string][] => {
      const colon = typeof line === 'string' ? line.indexOf(':') : -1
      const name = colon === -1 ? '' : line.slice(0, colon).trim()
      return name === '' ? [] : [[name, line.slice(colon + 1).trim()]]
    })
  }
  if (typeof headers !== 'object' || headers === null) return []
  return Object.entries(headers).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
}

/** Headers that describe the framing. Only the server may set them. */
const FRAMING_HEADERS = new Set([
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'trailer',
])

function isAllowedHeader(name: string, value: string): boolean {
  if (FRAMING_HEADERS.has(name.toLowerCase())) return false
  try {
    validateHeaderName(name)
    validateHeaderValue(name, value)
    return true
  } catch {
    return false
  }
}
