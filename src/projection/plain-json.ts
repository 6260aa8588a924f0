import { CqrsError } from '../kernel/errors.ts'
import { parseJson } from '../kernel/json.ts'
import { MAX_DEPTH } from '../kernel/json-size.ts'
import { isPlain } from '../kernel/plain.ts'

/** The value can be written as JSON, but what is read back differs from it in a way that a handler can notice. */
const CHANGES = Symbol()

/**
 * Objects that were found to be JSON and were frozen here. That an object is frozen says nothing by itself, since an
 * app can freeze objects too.
 */
const known = new WeakSet<object>()

/**
 * Freezes a value deeply; parts that were frozen here before are skipped.
 *
 * A store can hold only JSON, and a fold over documents in memory must not differ from one over stored documents. So a
 * value that changes when it is written as JSON is returned as it will be read back: without fields that are undefined,
 * with null for holes in arrays, without the fields that an array has besides its items, and with 0 for -0. Anything
 * else that is not JSON is refused.
 *
 * @throws CqrsError CQRS_APP_INVALID that names the field and what it holds instead
 */
export function freezeJson<Value>(value: Value): Value {
  const wrong = freezePart(value, 0)
  if (!wrong) return value
  if (wrong === CHANGES) return freezeJson(parseJson(JSON.stringify(value)) as Value)
  const field = wrong.path.reverse().slice(0, 10).join('.') || 'it'
  throw new CqrsError('CQRS_APP_INVALID', `A document or effect must be plain JSON; ${field} ${wrong.how}.`)
}

/** What is not JSON, and where; the path starts at the innermost field. */
interface Wrong {
  readonly how: string
  readonly path: string[]
}

/** This runs for every document of every event, so it builds no path as long as nothing is wrong. */
function freezePart(value: unknown, depth: number): Wrong | typeof CHANGES | undefined {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return undefined
  const how = whatIsWrong(value, depth)
  if (how) return { how, path: [] }
  if (typeof value !== 'object') return Object.is(value, -0) ? CHANGES : undefined
  if (known.has(value)) return undefined
  const parts = value as Record<string, unknown>
  const keys = Object.keys(parts)
  let changes = Array.isArray(value) && keys.length !== value.length
  for (const key of keys) {
    const part = parts[key]
    if (part === undefined && !Array.isArray(value)) {
      changes = true
      continue
    }
    const wrong = freezePart(part, depth + 1)
    if (wrong === CHANGES) changes = true
    else if (wrong) {
      wrong.path.push(key)
      return wrong
    }
  }
  Object.freeze(value)
  if (changes) return CHANGES
  // The outermost object is new with every event; the parts it holds are often not.
  if (depth > 0) known.add(value)
  return undefined
}

function whatIsWrong(value: unknown, depth: number): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : `is ${value}`
    case 'object':
      if (depth > MAX_DEPTH) return `nests deeper than ${MAX_DEPTH} levels or contains itself`
      return value === null || isPlain(value)
        ? undefined
        : `is a ${value?.constructor?.name ?? 'custom object'}`
    default:
      return `is a ${typeof value}`
  }
}
