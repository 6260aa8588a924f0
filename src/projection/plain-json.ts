import { CqrsError } from '../kernel/errors.ts'
import { isPlain } from '../kernel/plain.ts'

/** Deepest nesting of a document or effect; a frame of the engine takes 127 levels, its own included. */
const MAX_DEPTH = 100

/** What was found to be JSON and was frozen; frozen alone says nothing, since an app freezes too. */
const known = new WeakSet<object>()

/**
 * Freezes a value in depth; parts that went through here before are skipped.
 *
 * It must be what JSON gives back unchanged: a store cannot write the rest, and a fold over what is in
 * memory would differ from one over what was stored. Fields that are undefined count as left out.
 *
 * @throws CqrsError CQRS_APP_INVALID that names the field and what it holds instead
 */
export function freezeJson<Value>(value: Value): Value {
  const wrong = freezePart(value, 0)
  if (!wrong) return value
  const field = wrong.path.reverse().slice(0, 10).join('.') || 'it'
  throw new CqrsError('CQRS_APP_INVALID', `A document or effect must be plain JSON; ${field} ${wrong.how}.`)
}

/** What is not JSON, and where, from the inside out. */
interface Wrong {
  readonly how: string
  readonly path: string[]
}

/** This runs for every document of every event: it makes nothing as long as nothing is wrong. */
function freezePart(value: unknown, depth: number): Wrong | undefined {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return undefined
  const how = whatIsWrong(value, depth)
  if (how) return { how, path: [] }
  if (typeof value !== 'object' || known.has(value)) return undefined
  const parts = value as Record<string, unknown>
  for (const key of Object.keys(parts)) {
    const part = parts[key]
    if (part === undefined && !Array.isArray(value)) continue
    const wrong = freezePart(part, depth + 1)
    if (wrong) {
      wrong.path.push(key)
      return wrong
    }
  }
  Object.freeze(value)
  // The outermost one is new with every event; what it holds often is not.
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
      if (depth > MAX_DEPTH) return `nests deeper than ${MAX_DEPTH} levels or holds itself`
      return value === null || isPlain(value)
        ? undefined
        : `is a ${value?.constructor?.name ?? 'object of its own kind'}`
    default:
      return `is a ${typeof value}`
  }
}
