import type { Letter, LetterGroup } from '../contract.ts'
import { errorPattern } from '../fingerprint.ts'

/** Groups letters by fingerprint; the group with the most letters comes first. */
export function groupLetters(letters: readonly Letter[]): LetterGroup[] {
  const groups = Map.groupBy(letters, (letter) => letter.fingerprint)
  return [...groups.values()].map(toGroup).sort((left, right) => right.count - left.count)
}

function toGroup(letters: readonly Letter[]): LetterGroup {
  const byTime = letters.toSorted((left, right) => (left.failedAt < right.failedAt ? -1 : 1))
  const [oldest] = byTime as [Letter, ...Letter[]]
  return {
    fingerprint: oldest.fingerprint,
    source: oldest.source,
    names: [...new Set(letters.map(({ name }) => name))].sort(),
    error: errorPattern(oldest.error),
    count: letters.length,
    dead: letters.filter(({ status }) => status === 'dead').length,
    waiting: letters.reduce((sum, { waiting }) => sum + waiting, 0),
    firstFailedAt: oldest.failedAt,
    lastFailedAt: byTime.at(-1)?.failedAt ?? oldest.failedAt,
    example: oldest.id,
  }
}
