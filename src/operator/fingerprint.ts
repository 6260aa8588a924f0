import { hash } from 'node:crypto'
import type { LetterSource } from './contract.ts'

/** What a letter is told apart by, besides its error. */
export interface FailedThing {
  readonly source: LetterSource
  /** The queue or the projection, without the number of a partition. */
  readonly name: string
  /** The type of the event, the function of the message, the target of the effect. */
  readonly kind: string
}

/** What differs from one occurrence of an error to the next: first what contains what comes later. */
const VARIABLE: readonly (readonly [RegExp, string])[] = [
  [/"(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`/g, '"…"'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '#'],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?/g, '#'],
  [/\b(?:0x)?(?=[0-9a-f]*\d)[0-9a-f]{8,}\b/gi, '#'],
  [/-?\d+(?:[.,:]\d+)*/g, '#'],
]

/** Characters of an error that are looked at. */
const LONGEST = 500

/** The error without what differs between its occurrences: positions, ids, numbers, times, what is quoted. */
export function errorPattern(error: string): string {
  const [line = ''] = error.slice(0, LONGEST).split('\n')
  return VARIABLE.reduce((text, [part, sign]) => text.replace(part, sign), line).trim()
}

/** Names the group of letters that failed at the same thing in the same way: 12 hexadecimal digits. */
export function fingerprint({ source, name, kind }: FailedThing, error: string): string {
  return hash('sha256', JSON.stringify([source, name, kind, errorPattern(error)])).slice(0, 12)
}
