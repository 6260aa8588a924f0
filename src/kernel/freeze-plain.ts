import { isPlain } from './plain.ts'

/**
 * Deeply freezes plain objects and arrays, so that code that changes them in place fails instead of leaving half a
 * change behind. A value that is already frozen is skipped together with its contents. Anything else (a `Map`, a
 * `Date`, an object of a class) is left as it is.
 */
export function freezePlain<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || !isPlain(value)) return value
  Object.freeze(value)
  for (const key of Object.keys(value)) freezePlain((value as Record<string, unknown>)[key])
  return value
}
