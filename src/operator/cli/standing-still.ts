import { outdatedOperator } from '../outdated-operator.ts'

/** A view that may stand still because an operator paused it, or because it belongs to other code. */
export interface Standing {
  readonly name: string
  readonly paused: boolean
  readonly frozen: boolean
  /** A generation of this code is being built to replace it. */
  readonly rebuilding: boolean
  /** The version of the generation that serves, and of the code of the operator worker. */
  readonly servingVersion: number
  readonly version: number
}

/** Why views stand still although nothing fails, and what to do; one line for each reason. */
export function standingStill(views: readonly Standing[]): string[] {
  const lines = views.flatMap(({ name, paused, frozen, rebuilding, servingVersion, version }) => [
    ...(paused
      ? [
          `${name} is paused: no event is applied and no effect sent. "cqrs projections resume ${name}" ends the pause; ` +
            '"cqrs actions --operation ops::pause" shows who paused it.',
        ]
      : []),
    ...(frozen && servingVersion > version ? [`${outdatedOperator(name, servingVersion, version)}.`] : []),
    ...(frozen && servingVersion <= version
      ? [
          `${name} is frozen: the generation that serves belongs to other code (version or partitions) than the app, and stands still. ` +
            (rebuilding
              ? 'The rebuild that is under way will replace it.'
              : `Start the code that it belongs to, or replace it: "cqrs rebuild ${name}".`),
        ]
      : []),
  ])
  // The partitions of a projection have the same lines.
  return [...new Set(lines)]
}
