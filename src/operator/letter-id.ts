import { CqrsError } from '../kernel/errors.ts'
import type { LetterSource } from './contract.ts'

/** Which letter: its source, the queue or projection, and its id there. */
export interface LetterId {
  readonly source: LetterSource
  readonly name: string
  /** The id of the message, or the position of the event. */
  readonly key: string
}

/** The text form, e.g. `parked:inventory-list:42`. */
export function letterId({ source, name, key }: LetterId): string {
  return `${source}:${name}:${key}`
}

/** @throws CqrsError CQRS_VALIDATION */
export function parseLetterId(text: string): LetterId {
  const match = /^(queue|parked):(.+):([^:]+)$/.exec(text)
  const [, source, name, key] = match ?? []
  const fits = source === 'queue' || /^[1-9]\d{0,15}$/.test(key ?? '')
  if (match && fits) return { source: source as LetterSource, name: name as string, key: key as string }
  throw new CqrsError(
    'CQRS_VALIDATION',
    `"${text}" is not the id of a letter: it looks like queue:<queue>:<message id> or parked:<projection>:<position>.`,
  )
}
