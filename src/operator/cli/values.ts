import { InvalidArgumentError } from 'commander'
import { didYouMean } from '../../config/suggest.ts'

/** Reads an argument that is a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(
      `Give a whole number from ${min} to ${max === Number.MAX_SAFE_INTEGER ? '2^53-1' : max}.`,
    )
  }
}

/** Reads an argument that is one of some words, suggesting the nearest. */
export function oneOf<const Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((candidate) => candidate === text)
    if (word !== undefined) return word
    throw new InvalidArgumentError(`Give one of ${words.join(', ')}.${didYouMean(text, words)}`)
  }
}

/** As {@link oneOf}, for an argument that may be given several times. */
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
