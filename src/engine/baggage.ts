/**
 * Adds the member `iii.function.id`, which names the called function, to a W3C `baggage` header; replaces it if it is
 * there.
 */
export function withFunctionId(baggage: string | undefined, functionId: string): string {
  const entry = `iii.function.id=${encodeBaggageValue(functionId)}`
  const others = (baggage ?? '')
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '' && member.split('=')[0]?.trim() !== 'iii.function.id')
  return [...others, entry].join(',')
}

/** Percent-encodes the characters that the W3C grammar does not allow unencoded in a baggage value. */
function encodeBaggageValue(value: string): string {
  return value
    .toWellFormed()
    .replace(/[^\x21\x23-\x24\x26-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+/g, encodeURIComponent)
}
