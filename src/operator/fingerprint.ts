import { hash } from 'node:crypto'
import type { LetterSource } from './contract.ts'

/** What distinguishes letters, besides their errors. */
export interface FailedThing {
  readonly source: LetterSource
  /** The queue or the projection, without the number of a partition. */
  readonly name: string
  /** The type of the event, the function of the message, the target of the effect. */
  readonly kind: string
}

/**
 * Parts that differ between occurrences of an error. The order matters: quoted texts, UUIDs and times contain digits.
 */
const VARIABLE: readonly (readonly [RegExp, string])[] = [
  [/"(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`/g, '"…"'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '#'],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?/g, '#'],
  [/\b(?:0x)?(?=[0-9a-f]*\d)[0-9a-f]{8,}\b/gi, '#'],
  [/-?\d+(?:[.,:]\d+)*/g, '#'],
]

/** How much of an error is examined, in characters. */
const LONGEST = 500

/** The error without the parts that differ between its occurrences: positions, ids, numbers, times, quoted texts. */
export function errorPattern(error: string): string {
  const [line = ''] = error.slice(0, LONGEST).split('\n')
  return VARIABLE.reduce((text, [part, sign]) => text.replace(part, sign), line).trim()
}

/** Names the group of letters that failed at the same thing in the same way: 12 hexadecimal digits. */
export function fingerprint({ source, name, kind }: FailedThing, error: string): string {
  return hash('sha256', JSON.stringify([source, name, kind, errorPattern(error)])).slice(0, 12)
}
