/** The most letters that may differ for a name to count as mistyped. */
const MAX_DISTANCE = 3

/**
 * The known name that `name` was probably meant to be, if one is close enough: the one with the smallest optimal string
 * alignment distance (Damerau-Levenshtein without repeated edits), at most three and at most a third of the length of
 * the name. Leave out a prefix that all names share: it would make every name look close.
 */
export function suggest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.min(MAX_DISTANCE, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(fold(name), fold(candidate))
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** ` Did you mean "x"?`, or an empty text if no known name is close. To be appended to a message. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const nearest = suggest(name, known)
  return nearest === undefined ? '' : ` Did you mean "${nearest}"?`
}

/** Removes case, dashes and underscores: these are the most common mistakes and should not count as distance. */
function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '')
}

function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MAX_DISTANCE) return Number.POSITIVE_INFINITY
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1
      let distance = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + cost)
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        distance = Math.min(distance, at(beforeLast, column - 2) + 1)
      }
      current.push(distance)
    }
    beforeLast = last
    last = current
  }
  return at(last, b.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY
}
