import { CqrsError } from './errors.ts'

/**
 * Where an event stands in the log: 1 for the first one ever, one more for each further one, no gaps,
 * in commit order. 0 means "before the first event".
 */
export type Position = number

/** Reads a position that a database or a caller gives as number, bigint or text. @throws CqrsError CQRS_VALIDATION */
export function toPosition(value: unknown): Position {
  const position = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value
  const number = typeof position === 'bigint' ? Number(position) : position
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number
  throw new CqrsError(
    'CQRS_VALIDATION',
    `${String(value)} is not a position: give a whole number from 0 to 2^53-1.`,
  )
}
