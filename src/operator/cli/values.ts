import { type Command, InvalidArgumentError } from 'commander'
import { didYouMean } from '../../config/suggest.ts'

/** Parses an argument that is a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(
      `Give a whole number from ${min} to ${max === Number.MAX_SAFE_INTEGER ? '2^53-1' : max}.`,
    )
  }
}

/** Parses an argument that is one of `words`; the error suggests the nearest word. */
export function oneOf<const Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((candidate) => candidate === text)
    if (word !== undefined) return word
    throw new InvalidArgumentError(`Give one of ${words.join(', ')}.${didYouMean(text, words)}`)
  }
}

/** Like {@link oneOf}, for an argument that may be given several times. */
export function someOf<const Word extends string>(words: readonly Word[]) {
  const read = oneOf(words)
  return (text: string, before: readonly Word[] | undefined): Word[] => [
    ...new Set([...(before ?? []), read(text)]),
  ]
}

/** Collects an option that may be given several times. */
export function several(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text]
}

/**
 * The value of a document's field: digits, as in `5` or `-1.5`, are a number; everything else is text, which may be
 * blank.
 */
export function scalar(text: string): string | number {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
}

/**
 * Ends the program if an argument or option of `command`, or an option of a command above it, is blank. Otherwise an
 * empty variable of a script would be taken as a name, or as if nothing had been given.
 */
export function refuseBlank(command: Command): void {
  for (const [index, argument] of command.registeredArguments.entries()) {
    if (isBlank(command.processedArgs[index])) command.error(`error: argument '${argument.name()}' is blank`)
  }
  for (let each: Command | null = command; each; each = each.parent) {
    for (const option of each.options) {
      if (option.parseArg === scalar) continue
      const value: unknown = each.getOptionValue(option.attributeName())
      if (isBlank(value)) command.error(`error: option '${option.flags}' is blank`)
    }
  }
}

function isBlank(value: unknown): boolean {
  return Array.isArray(value) ? value.some(isBlank) : typeof value === 'string' && value.trim() === ''
}
