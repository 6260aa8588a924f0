/** Baggage of a W3C `baggage` header with `iii.function.id` naming the function that is called. */
export function withFunctionId(baggage: string | undefined, functionId: string): string {
  const entry = `iii.function.id=${encodeBaggageValue(functionId)}`
  const others = (baggage ?? '')
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '' && member.split('=')[0]?.trim() !== 'iii.function.id')
  return [...others, entry].join(',')
}

/** Percent-encodes what the W3C grammar of baggage values does not allow bare. */
function encodeBaggageValue(value: string): string {
  return value
    .toWellFormed()
    .replace(/[^\x21\x23-\x24\x26-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+/g, encodeURIComponent)
}
