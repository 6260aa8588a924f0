import type { System } from './system.ts'

/** Who asks for an operation, and from where; both are texts for people to read. */
export interface Operator {
  /** The name that the caller gives; `operator` if it gives none. */
  readonly by: string
  /** `http`, `cli` or `worker`, followed by what is known about it, e.g. `cli on shop-1`. */
  readonly from: string
}

/** Something that operators can do: one implementation, offered as a function and as an HTTP route. */
export interface Operation {
  /** Its function on the engine. */
  readonly id: `ops::${string}`
  /** Its route. The parameters of the path, the query and the body become fields of the input. */
  readonly http: `${'GET' | 'POST'} /ops/${string}`
  /** `read` changes nothing and also accepts the read-only token; `change` is recorded. */
  readonly scope: 'read' | 'change'
  /**
   * Whether this input makes a change only show what it would do; then it is not recorded. Without this function:
   * never.
   */
  isDryRun?(input: unknown): boolean
  /** What it does, in a sentence. */
  readonly what: string
  /** Does it. @throws CqrsError CQRS_VALIDATION if the input is invalid, and the errors of the operation itself */
  run(system: System, input: unknown, operator: Operator): Promise<unknown>
}
