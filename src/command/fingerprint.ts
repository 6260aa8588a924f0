import { hash } from 'node:crypto'
import { canonicalJson } from './canonical-json.ts'

/**
 * Tells by text what a command asks for: what its schema made of the input, and what was sent where that differs. Either is
 * enough to know it again. What was sent is the same when a schema fills in the time or a random id, or has changed
 * since; what was made of it is the same when the schema drops or straightens what does not matter.
 *
 * @param sent the input as it came
 * @param read what the schema made of it; left out if it made nothing
 */
export function fingerprintOf(name: string, sent: unknown, ...read: [value?: unknown]): string {
  const texts = new Set([...read, sent].map((value) => canonicalJson([name, value])))
  return [...texts].flatMap((text) => (text === undefined ? [] : [hash('sha256', text)])).join(' ')
}

/** Whether two fingerprints are of the same command with the same input, in one of the two ways. */
export function isSameCommand(one: string, other: string): boolean {
  const hashes = one.split(' ')
  return other.split(' ').some((each) => each !== '' && hashes.includes(each))
}
