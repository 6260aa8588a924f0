/** A view that may stand still because an operator paused it, or because it belongs to other code. */
export interface Standing {
  readonly name: string
  readonly paused: boolean
  readonly frozen: boolean
  /** A generation of this code is being built to replace it. */
  readonly rebuilding: boolean
}

/** Why views stand still although nothing fails, and what to do; one line for each reason. */
export function standingStill(views: readonly Standing[]): string[] {
  const lines = views.flatMap(({ name, paused, frozen, rebuilding }) => [
    ...(paused
      ? [
          `${name} is paused: no event is applied and no effect sent. "cqrs projections resume ${name}" lets it go on; ` +
            '"cqrs actions --operation ops::pause" tells who paused it.',
        ]
      : []),
    ...(frozen
      ? [
          `${name} is frozen: what serves is of other code than what runs (version or partitions), and stands still. ` +
            (rebuilding
              ? 'The rebuild that is under way takes its place.'
              : `Start the code that it is of, or put one of this code in its place: "cqrs rebuild ${name}".`),
        ]
      : []),
  ])
  // The partitions of a projection have the same lines.
  return [...new Set(lines)]
}
