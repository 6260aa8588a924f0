let second = Number.NaN
let upToSecond = ''

/**
 * A time as `Date.prototype.toISOString` writes it. Neighbouring events in the log mostly share the same second, so
 * usually only the fraction is formatted. This takes a sixth of the time, and it is done for every event that is read.
 *
 * @param milliseconds whole milliseconds since 1970
 * @throws RangeError for a time that Date cannot hold
 */
export function isoTime(milliseconds: number): string {
  const wanted = Math.floor(milliseconds / 1_000)
  if (wanted !== second) {
    upToSecond = new Date(wanted * 1_000).toISOString().slice(0, -4)
    second = wanted
  }
  const fraction = milliseconds - wanted * 1_000
  return `${upToSecond}${fraction < 10 ? '00' : fraction < 100 ? '0' : ''}${fraction}Z`
}
