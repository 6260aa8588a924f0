/** One figure over several rounds. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly rounds: number
}

/** Median, least and greatest of some values; of an even number the upper of the two middle ones. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((left, right) => left - right)
  return {
    median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
    rounds: sorted.length,
  }
}

/**
 * Runs one round to warm up (unless only one is wanted) and `rounds` that count, and gives each figure's
 * spread. Rounds of several contenders belong into one `round`: what disturbs the machine then disturbs all.
 */
export async function repeated<Figures extends Readonly<Record<string, number>>>(
  rounds: number,
  round: (index: number) => Promise<Figures>,
): Promise<{ readonly [Name in keyof Figures]: Spread }> {
  if (rounds > 1) await round(-1)
  const all: Figures[] = []
  for (let index = 0; index < rounds; index += 1) all.push(await round(index))
  const names = Object.keys(all[0] ?? {}) as (keyof Figures)[]
  const spreads = names.map((name) => [name, spreadOf(all.map((figures) => figures[name] as number))])
  return Object.fromEntries(spreads)
}

/** The numbers of the rounds of {@link repeated}: -1 warms up and does not count. */
export function roundsOf(rounds: number): number[] {
  return Array.from({ length: rounds > 1 ? rounds + 1 : rounds }, (_, index) => index - (rounds > 1 ? 1 : 0))
}
