import { failure, type Outcome } from './outcome.ts'
import type { RawJson } from './raw-json.ts'

/** The type that a field of an input must have; with `?` it may also be absent or `null`. */
export type FieldKind = keyof FieldTypes

interface FieldTypes {
  string: string
  'string?': string | undefined
  'boolean?': boolean | undefined
  'integer?': number | undefined
  'strings?': string[] | undefined
  array: unknown[]
  any: unknown
  'any?': unknown
}

type Input<S extends Record<string, FieldKind>> = { readonly [K in keyof S]: FieldTypes[S[K]] }

/**
 * Reads the input of one of the engine's functions. Unknown fields are ignored, because the engine itself adds some.
 * Any other misfit is a `deserialization_error` that names the field.
 */
export function readInput<S extends Record<string, FieldKind>>(
  functionId: string,
  data: RawJson,
  shape: S,
): { ok: true; value: Input<S> } | { ok: false; outcome: Outcome } {
  const parsed: unknown = JSON.parse(data)
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return { ok: false, outcome: wrong(functionId, 'the input must be an object') }
  }
  const value: Record<string, unknown> = {}
  for (const [name, kind] of Object.entries(shape)) {
    const field = Object.hasOwn(parsed, name) ? (parsed as Record<string, unknown>)[name] : undefined
    const problem = problemWith(field, kind)
    if (problem !== undefined)
      return { ok: false, outcome: wrong(functionId, `the field ${name} ${problem}`) }
    value[name] = kind.endsWith('?') ? (field ?? undefined) : field
  }
  return { ok: true, value: value as Input<S> }
}

/** The outcome for an input that does not fit. */
export function wrong(functionId: string, what: string): Outcome {
  return failure('deserialization_error', `The input of ${functionId} is not valid: ${what}.`)
}

function problemWith(field: unknown, kind: FieldKind): string | undefined {
  if (kind.endsWith('?') && field == null) return undefined
  if (field === undefined) return 'is missing'
  switch (kind) {
    case 'string':
    case 'string?':
      if (typeof field !== 'string') return 'must be a string'
      // A lone surrogate: a store would return a different text.
      return field.isWellFormed() ? undefined : 'contains half a character (an unpaired surrogate)'
    case 'boolean?':
      return typeof field === 'boolean' ? undefined : 'must be true or false'
    case 'integer?':
      return Number.isInteger(field) ? undefined : 'must be an integer'
    case 'strings?':
      return Array.isArray(field) && field.every((item) => typeof item === 'string')
        ? undefined
        : 'must be a list of strings'
    case 'array':
      return Array.isArray(field) ? undefined : 'must be a list'
    case 'any':
    case 'any?':
      return undefined
  }
}
