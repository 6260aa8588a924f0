import { z } from 'zod'
import { CqrsError } from './errors.ts'

/** One thing that is wrong with an input. */
export interface InputIssue {
  /** The field, with dots between levels; `(input)` for the input as a whole. */
  readonly field: string
  /** What is wrong with it, for people. */
  readonly problem: string
}

/** An input that fits its schema, or a list of everything that does not fit. */
export type ParsedInput<Input> =
  | { readonly ok: true; readonly value: Input }
  | { readonly ok: false; readonly issues: readonly InputIssue[] }

/** The problem reported for a field that a strict schema does not have. */
export const UNKNOWN_FIELD = 'is not known; leave it out'

/** Checks an input against its schema and names every field that does not fit. */
export function parseInput<Input>(schema: z.ZodType<Input>, input: unknown): ParsedInput<Input> {
  const parsed = schema.safeParse(input, { error: (issue) => wordsFor(issue, input) })
  if (parsed.success) return { ok: true, value: parsed.data }
  return { ok: false, issues: parsed.error.issues.flatMap(toIssues) }
}

/** All issues in one line: `field: problem; …`. */
export function describeIssues(issues: readonly InputIssue[]): string {
  return issues.map(({ field, problem }) => `${field}: ${problem}`).join('; ')
}

/** What a function of the app failed with, in one line: also if it was a schema that it called itself. */
export function describeFailure(error: unknown): string {
  if (error instanceof z.ZodError) return describeIssues(error.issues.flatMap(toIssues))
  return error instanceof Error ? error.message : String(error)
}

/** The error for one field that fits its schema but cannot be accepted. */
export function invalidField(field: string, problem: string): CqrsError {
  const issues: InputIssue[] = [{ field, problem }]
  return new CqrsError('CQRS_VALIDATION', describeIssues(issues), { details: { issues } })
}

function toIssues(issue: z.core.$ZodIssue): InputIssue[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      field: [...issue.path, key].join('.'),
      problem: UNKNOWN_FIELD,
    }))
  }
  return [{ field: issue.path.join('.') || '(input)', problem: issue.message }]
}

/** What to say about a field without a value, unless its schema has a message of its own; undefined for other issues. */
function wordsFor(issue: z.core.$ZodRawIssue, input: unknown): string | undefined {
  if (issue.input === undefined) return MISSING
  // What the schema saw may not be what was given: a coercion makes NaN of nothing, and the issue of a discriminator is
  // about the object that lacks it.
  const isOfGiven = issue.code === 'invalid_type' || issue.code === 'invalid_union'
  return isOfGiven && valueAt(input, issue.path ?? []) === undefined ? MISSING : undefined
}

const MISSING = 'is missing'

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key],
    input,
  )
}
