/** Whether a value is an array or a plain object (no class of its own), as JSON and object literals create them. */
export function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
