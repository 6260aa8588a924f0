import { addInteger, isJsonObject, typeName } from './exact-json.ts'

/** One step of `state::update`, as iii defines them. */
export type UpdateOp =
  | { readonly type: 'set'; readonly path: string; readonly value?: unknown }
  | { readonly type: 'merge'; readonly path?: Path; readonly value: unknown }
  | { readonly type: 'increment' | 'decrement'; readonly path: string; readonly by: number }
  | { readonly type: 'append'; readonly path?: Path; readonly value: unknown }
  | { readonly type: 'remove'; readonly path: string }

/** One key, or a list of keys from the root. Dots have no special meaning. */
export type Path = string | readonly string[] | null

/** Why one step was skipped. */
export interface UpdateError {
  readonly op_index: number
  readonly code: string
  readonly message: string
}

const MAX_PATH_DEPTH = 32
const MAX_SEGMENT_BYTES = 256
const MAX_MERGE_DEPTH = 16
const MAX_MERGE_KEYS = 1024
const PROTOTYPE_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

/** Why a step cannot be applied. `reason` is the part of the error code that follows the name of the step. */
interface Refusal {
  readonly reason: string
  readonly message: string
}

/** The value that steps work on. `fresh` means that there was none, and no step has made one yet. */
interface Target {
  value: unknown
  fresh: boolean
}

/**
 * Applies steps in order. A step that cannot be applied is reported and skipped; the others are applied. `before` is
 * undefined if there was no value: steps then start from an empty object. Otherwise `before` is changed in place.
 */
export function applyUpdate(
  before: unknown,
  ops: readonly UpdateOp[],
): { value: unknown; errors: UpdateError[] } {
  const target: Target = { value: before === undefined ? {} : before, fresh: before === undefined }
  const errors: UpdateError[] = []
  for (const [index, op] of ops.entries()) {
    const refusal = checkPath(segmentsOf(op.path)) ?? apply(target, op)
    if (refusal === undefined) target.fresh = false
    else errors.push({ op_index: index, code: `${op.type}.${refusal.reason}`, message: refusal.message })
  }
  return { value: target.value, errors }
}

function apply(target: Target, op: UpdateOp): Refusal | undefined {
  switch (op.type) {
    case 'set':
      return atField(target, op.path, () => op.value ?? null)
    case 'remove':
      return remove(target, op.path)
    case 'increment':
      return add(target, op.path, op.by)
    case 'decrement':
      return add(target, op.path, -op.by)
    case 'merge':
      return merge(target, segmentsOf(op.path), op.value)
    case 'append':
      return append(target, segmentsOf(op.path), op.value)
  }
}

/**
 * Replaces the root, or one of its fields, with what `change` returns; undefined means that the current value is not a
 * number.
 */
function atField(
  target: Target,
  path: string,
  change: (current: unknown, exists: boolean) => unknown,
): Refusal | undefined {
  if (path === '') {
    const next = change(target.value, !target.fresh)
    if (next === undefined) return notANumber(target.value, path)
    target.value = next
    return undefined
  }
  if (!isJsonObject(target.value)) return notAnObject(target.value)
  const current = target.value[path]
  const next = change(current, Object.hasOwn(target.value, path))
  if (next === undefined) return notANumber(current, path)
  target.value[path] = next
  return undefined
}

function add(target: Target, path: string, by: number): Refusal | undefined {
  return atField(target, path, (current, exists) => (exists ? addInteger(current, by) : by))
}

function remove(target: Target, path: string): Refusal | undefined {
  if (path === '') target.value = null
  else if (isJsonObject(target.value)) delete target.value[path]
  else return notAnObject(target.value)
  return undefined
}

function merge(target: Target, segments: readonly string[], value: unknown): Refusal | undefined {
  const refusal = checkMergeValue(value)
  if (refusal !== undefined) return refusal
  // As in the real engine, a merge into a root that is no object does nothing and reports nothing.
  if (segments.length === 0 && !isJsonObject(target.value)) return undefined
  const parent = makeObjects(target, segments)
  for (const [key, field] of Object.entries(value as object)) parent[key] = field
  return undefined
}

function append(target: Target, segments: readonly string[], value: unknown): Refusal | undefined {
  const last = segments.at(-1)
  if (last === undefined) {
    const appended = appendTo(target.fresh ? null : target.value, value)
    if ('refusal' in appended) return appended.refusal
    target.value = appended.value
    return undefined
  }
  if (!isJsonObject(target.value)) return notAnObject(target.value)
  const parent = makeObjects(target, segments.slice(0, -1))
  if (!Object.hasOwn(parent, last)) {
    parent[last] = segments.length > 1 ? [value] : startOf(value)
    return undefined
  }
  const appended = appendTo(parent[last], value)
  if ('refusal' in appended) return appended.refusal
  parent[last] = appended.value
  return undefined
}

function appendTo(current: unknown, value: unknown): { value: unknown } | { refusal: Refusal } {
  if (Array.isArray(current)) return { value: [...current, value] }
  if (current === null) return { value: startOf(value) }
  if (typeof current === 'string' && typeof value === 'string') return { value: current + value }
  const message = `A ${typeName(value)} cannot be appended to a ${typeName(current)}.`
  return { refusal: { reason: 'type_mismatch', message } }
}

/**
 * What an append to nothing makes: a string stays a string, which grows by concatenation; anything else becomes a list.
 */
function startOf(value: unknown): unknown {
  return typeof value === 'string' ? value : [value]
}

/**
 * Walks down the path, and returns the object at its end. Anything on the way that is not an object is replaced by one.
 */
function makeObjects(target: Target, segments: readonly string[]): Record<string, unknown> {
  if (!isJsonObject(target.value)) target.value = {}
  let node = target.value as Record<string, unknown>
  for (const segment of segments) {
    const next = Object.hasOwn(node, segment) ? node[segment] : undefined
    if (isJsonObject(next)) node = next
    else {
      const made: Record<string, unknown> = {}
      node[segment] = made
      node = made
    }
  }
  return node
}

function segmentsOf(path: Path | undefined): readonly string[] {
  if (path == null || path === '') return []
  return typeof path === 'string' ? [path] : path
}

function checkPath(segments: readonly string[]): Refusal | undefined {
  if (segments.length > MAX_PATH_DEPTH) {
    return {
      reason: 'path.too_deep',
      message: `The path has ${segments.length} keys; ${MAX_PATH_DEPTH} are allowed.`,
    }
  }
  for (const segment of segments) {
    if (segment === '') return { reason: 'path.empty_segment', message: 'The path has an empty key.' }
    const bytes = Buffer.byteLength(segment)
    if (bytes > MAX_SEGMENT_BYTES) {
      const message = `A key of the path has ${bytes} bytes; ${MAX_SEGMENT_BYTES} are allowed.`
      return { reason: 'path.segment_too_long', message }
    }
    if (PROTOTYPE_KEYS.has(segment)) {
      return { reason: 'path.proto_polluted', message: `The key ${segment} is not allowed in a path.` }
    }
  }
  return undefined
}

function checkMergeValue(value: unknown): Refusal | undefined {
  if (!isJsonObject(value)) return { reason: 'value.not_an_object', message: 'Only an object can be merged.' }
  const keys = Object.keys(value)
  if (keys.length > MAX_MERGE_KEYS) {
    const message = `The merged object has ${keys.length} keys; ${MAX_MERGE_KEYS} are allowed.`
    return { reason: 'value.too_many_keys', message }
  }
  const polluted = keys.find((key) => PROTOTYPE_KEYS.has(key))
  if (polluted !== undefined) {
    return { reason: 'value.proto_polluted', message: `The merged object must not have the key ${polluted}.` }
  }
  const depth = nesting(value)
  if (depth > MAX_MERGE_DEPTH) {
    const message = `The merged object nests ${depth} levels deep; ${MAX_MERGE_DEPTH} are allowed.`
    return { reason: 'value.too_deep', message }
  }
  return undefined
}

function nesting(value: unknown): number {
  if (Array.isArray(value)) return 1 + Math.max(0, ...value.map(nesting))
  return isJsonObject(value) ? 1 + Math.max(0, ...Object.values(value).map(nesting)) : 0
}

function notAnObject(value: unknown): Refusal {
  return {
    reason: 'target_not_object',
    message: `The value is a ${typeName(value)}, not an object with fields.`,
  }
}

function notANumber(value: unknown, path: string): Refusal {
  const where = path === '' ? 'The value' : `The field ${path}`
  return { reason: 'not_number', message: `${where} is a ${typeName(value)}, not a number.` }
}
