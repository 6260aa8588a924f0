import type { LeftOutLetters, LetterSource } from '../contract.ts'
import type { CliContext } from './context.ts'
import { printable } from './table.ts'

const LETTERS: Readonly<Record<LetterSource, string>> = {
  queue: 'dead letters',
  parked: 'parked events',
  effect: 'dead effects',
}

/** Prints on standard error which letters an answer leaves out, and why. */
export function sayLeftOut(context: CliContext, incomplete: readonly LeftOutLetters[] = []): void {
  for (const { source, name, error } of incomplete) {
    context.warn(`Left out: ${LETTERS[source]}${name === null ? '' : ` of ${name}`}. ${printable(error)}`)
  }
}

/** Joins what two answers leave out: each place once, with its latest error. */
export function joinLeftOut(
  before: readonly LeftOutLetters[] = [],
  after: readonly LeftOutLetters[] = [],
): LeftOutLetters[] {
  return [...new Map([...before, ...after].map((each) => [`${each.source}:${each.name}`, each])).values()]
}
