import { isPlain } from '../kernel/plain.ts'

/**
 * Freezes plain objects and arrays in depth, so that code which changes them in place fails instead of leaving half of a
 * change behind; what is frozen already is skipped, with what it holds. Anything else (a `Map`, a `Date`, an object of a
 * class) is left as it is.
 */
export function freezePlain<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || !isPlain(value)) return value
  Object.freeze(value)
  for (const key of Object.keys(value)) freezePlain((value as Record<string, unknown>)[key])
  return value
}
