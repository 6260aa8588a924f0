import { CqrsError } from '../../kernel/errors.ts'
import type { LetterSource } from '../contract.ts'

/** Identifies a letter: its source, its queue or projection, and its id there. */
export interface LetterId {
  readonly source: LetterSource
  readonly name: string
  /** The id of the message, the position of the event, or `<position>.<n>` of the effect. */
  readonly key: string
}

/**
 * The text form, e.g. `parked:inventory-list:42`. The id of a message is chosen by its sender and may be any text; a
 * colon in it is written as `%3A`, a percent sign as `%25`.
 */
export function letterId({ source, name, key }: LetterId): string {
  return `${source}:${name}:${key.replace(/[%:]/g, encodeURIComponent)}`
}

const KEYS: Readonly<Record<LetterSource, RegExp>> = {
  queue: /^[^:]+$/,
  parked: /^[1-9]\d{0,15}$/,
  effect: /^[1-9]\d{0,15}\.[1-9]\d{0,9}$/,
}

/** @throws CqrsError CQRS_VALIDATION */
export function parseLetterId(text: string): LetterId {
  const [, source, name, key] = /^(queue|parked|effect):(.+):([^:]+)$/s.exec(text) ?? []
  if (source && name && key && KEYS[source as LetterSource].test(key)) {
    return { source: source as LetterSource, name, key: key.replace(/%(?:25|3A)/g, decodeURIComponent) }
  }
  throw new CqrsError(
    'CQRS_VALIDATION',
    `"${text}" is not the id of a letter. An id looks like queue:<queue>:<message id>, ` +
      'parked:<projection>:<position> or effect:<reactor>:<position>.<n>; "cqrs dlq list" shows the ids.',
  )
}
