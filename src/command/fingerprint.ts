import { hash } from 'node:crypto'
import { canonicalJson } from './canonical-json.ts'

/**
 * A text that identifies what a command asks for, made of up to two hashes: one of the input as parsed by the schema,
 * and one of the input as sent, if that differs. Either hash is enough to recognize the command. The input as sent
 * stays the same when the schema fills in the time or a random id, or has changed since. The parsed input stays the
 * same when the schema drops or normalizes what does not matter.
 *
 * @param sent the input as it came
 * @param read the input as parsed by the schema; left out if it did not parse
 */
export function fingerprintOf(name: string, sent: unknown, ...read: [value?: unknown]): string {
  const texts = new Set([...read, sent].map((value) => canonicalJson([name, value])))
  return [...texts].flatMap((text) => (text === undefined ? [] : [hash('sha256', text)])).join(' ')
}

/** Whether two fingerprints belong to the same command with the same input: one hash in common is enough. */
export function isSameCommand(one: string, other: string): boolean {
  const hashes = one.split(' ')
  return other.split(' ').some((each) => each !== '' && hashes.includes(each))
}
