import { hasEscapedKey, parseJson, parseStrictly } from '../../kernel/json.ts'
import type { RawJson } from '../raw-json.ts'

/** A number that JavaScript cannot hold, kept as its text. */
type RawNumber = { readonly rawJSON: string }

const json = JSON as typeof JSON & {
  rawJSON(text: string): RawNumber
  isRawJSON(value: unknown): value is RawNumber
}

/**
 * Parses JSON so that {@link exactStringify} gives back the same numbers: integers beyond 2^53 stay
 * text (`JSON.rawJSON`) instead of being rounded.
 */
export function exactParse(text: RawJson): unknown {
  if (!/\d{16}/.test(text)) return parseJson(text)
  const value: unknown = JSON.parse(text, (_key: string, parsed: unknown, context?: { source?: string }) =>
    typeof parsed === 'number' && context?.source !== undefined ? exactNumber(context.source) : parsed,
  )
  return hasEscapedKey(text) ? parseStrictly(text, exactNumber) : value
}

function exactNumber(source: string): unknown {
  const value = Number(source)
  return Number.isSafeInteger(value) || !/^-?\d+$/.test(source) ? value : json.rawJSON(source)
}

/** The JSON text of a value that {@link exactParse} returned. */
export function exactStringify(value: unknown): RawJson {
  return JSON.stringify(value)
}

/**
 * Adds an integer to a number. Undefined if `value` is not a number, or if an integer sum does not fit into 64 bits.
 */
export function addInteger(value: unknown, by: number): unknown {
  if (typeof value === 'number') {
    const sum = value + by
    if (!Number.isSafeInteger(value) || Number.isSafeInteger(sum)) return sum
    return exactInteger(BigInt(value) + BigInt(by))
  }
  return json.isRawJSON(value) ? exactInteger(BigInt(value.rawJSON) + BigInt(by)) : undefined
}

/** The name JSON has for the type of a value. */
export function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (json.isRawJSON(value)) return 'number'
  return Array.isArray(value) ? 'array' : typeof value
}

/** Whether a value is a JSON object, and not a list or a number kept as text. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeName(value) === 'object'
}

const LEAST = -(2n ** 63n)
const GREATEST = 2n ** 64n - 1n

function exactInteger(value: bigint): unknown {
  if (value < LEAST || value > GREATEST) return undefined
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : json.rawJSON(String(value))
}
