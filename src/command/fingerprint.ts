import { hash } from 'node:crypto'
import { canonicalJson } from './canonical-json.ts'

/** Takes the place of a hash that cannot be made. */
const NONE = '-'

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
  const digest = (value: unknown) => {
    const text = canonicalJson([name, value])
    return text === undefined ? NONE : hash('sha256', text)
  }
  const made = read.length === 0 ? NONE : digest(read[0])
  return [...new Set([made, digest(sent)])].join(' ')
}

/**
 * Whether two fingerprints belong to the same command with the same input. The input as sent is compared only with the
 * input as sent, and the parsed input only with the parsed input, because a schema may turn one input into exactly what
 * another command sent.
 */
export function isSameCommand(one: string, other: string): boolean {
  const [hashes, others] = [one.split(' '), other.split(' ')]
  return [0, -1].some((at) => isKnown(hashes.at(at)) && hashes.at(at) === others.at(at))
}

function isKnown(digest: string | undefined): boolean {
  return digest !== undefined && digest !== '' && digest !== NONE
}
