import { endOfString, isSpace } from '../kernel/json.ts'

/**
 * Raw JSON: values pass through the engine as the text in which they arrived. Parsing and stringifying them would lose
 * details (integers beyond 2^53, the order of keys, `1.0`) and cost many times as much.
 */

/** The text of one valid JSON value. */
export type RawJson = string

/** The top level of a JSON object: the raw value of each key, and how deep its nesting goes. */
export interface RawObject {
  /** Key → raw value without surrounding space; a repeated key has its last value, as in `JSON.parse`. */
  readonly fields: ReadonlyMap<string, RawJson>
  /** Levels of nesting: 1 for `{}` and `{"a":1}`, 2 for `{"a":[]}`. */
  readonly depth: number
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/**
 * Cuts a JSON object into the raw values of its keys, in one pass.
 *
 * `text` must be valid JSON with an object at the top. This function does not check that: callers run `JSON.parse`
 * first.
 */
export function scanObject(text: string): RawObject {
  const fields = new Map<string, RawJson>()
  const length = text.length
  let depth = 0
  let deepest = 0
  let key = ''
  let valueStart = -1
  let at = 0
  while (at < length) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      const end = endOfString(text, at)
      if (depth === 1 && valueStart === -1) {
        key = unquote(text, at, end)
        at = text.indexOf(':', end) + 1
        if (at === 0) break
        valueStart = at
        continue
      }
      at = end
      continue
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1
      if (depth > deepest) deepest = depth
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth -= 1
      if (depth === 0) {
        if (valueStart !== -1) fields.set(key, trimJson(text, valueStart, at))
        break
      }
    } else if (code === COMMA && depth === 1) {
      if (valueStart !== -1) fields.set(key, trimJson(text, valueStart, at))
      valueStart = -1
    }
    at += 1
  }
  return { fields, depth: deepest }
}

/** How deep the nesting of valid JSON goes: 0 for a scalar, 1 for `[]`, 2 for `[{}]`. */
export function depthOf(text: RawJson): number {
  let depth = 0
  let deepest = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at) - 1
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1
      if (depth > deepest) deepest = depth
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth -= 1
  }
  return deepest
}

/** Whether an object anywhere in valid JSON has the key `__proto__`, however it is escaped. */
export function hasProtoKey(text: RawJson): boolean {
  if (!text.includes('__proto__') && !text.includes('\\u')) return false
  for (let at = 0; at < text.length; at += 1) {
    if (text.charCodeAt(at) !== QUOTE) continue
    const end = endOfString(text, at)
    let next = end
    while (isSpace(text.charCodeAt(next))) next += 1
    if (text.charCodeAt(next) === COLON && unquote(text, at, end) === '__proto__') return true
    at = end - 1
  }
  return false
}

/** Adds a key at the end of a raw object, which must not have it yet. */
export function withField(object: RawJson, key: string, value: RawJson): RawJson {
  const close = object.lastIndexOf('}')
  const body = object.slice(0, close)
  const separator = isEmptyObject(body) ? '' : ','
  return `${body}${separator}${JSON.stringify(key)}:${value}}`
}

function unquote(text: string, open: number, end: number): string {
  const inner = text.slice(open + 1, end - 1)
  return inner.includes('\\') ? (JSON.parse(text.slice(open, end)) as string) : inner
}

function trimJson(text: string, start: number, end: number): RawJson {
  let from = start
  let to = end
  while (from < to && isSpace(text.charCodeAt(from))) from += 1
  while (to > from && isSpace(text.charCodeAt(to - 1))) to -= 1
  return text.slice(from, to)
}

function isEmptyObject(openBody: string): boolean {
  for (let at = openBody.indexOf('{') + 1; at < openBody.length; at += 1) {
    if (!isSpace(openBody.charCodeAt(at))) return false
  }
  return true
}
