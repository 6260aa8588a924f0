/** Whether a value is an array or an object without a class of its own, as JSON and object literals make them. */
export function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
