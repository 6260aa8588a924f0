import { CqrsError } from './errors.ts'

/**
 * An event's place in the log: the first event has position 1 and each further one is one higher, without gaps, in
 * commit order. 0 means "before the first event".
 */
export type Position = number

/** Converts a number, bigint or text, from a database or a caller, to a position. @throws CqrsError CQRS_VALIDATION */
export function toPosition(value: unknown): Position {
  const position = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value
  const number = typeof position === 'bigint' ? Number(position) : position
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number
  throw new CqrsError(
    'CQRS_VALIDATION',
    `${String(value)} is not a position: give a whole number from 0 to 2^53-1.`,
  )
}
