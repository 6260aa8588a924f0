import type { z } from 'zod'
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

/** What zod says about a field without a value, unless the schema has a message of its own. */
const MISSING = /^Invalid input: expected .+, received undefined$/

/** Checks an input against its schema and names every field that does not fit. */
export function parseInput<Input>(schema: z.ZodType<Input>, input: unknown): ParsedInput<Input> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return { ok: true, value: parsed.data }
  return { ok: false, issues: parsed.error.issues.flatMap(toIssues) }
}

/** All issues in one line: `field: problem; …`. */
export function describeIssues(issues: readonly InputIssue[]): string {
  return issues.map(({ field, problem }) => `${field}: ${problem}`).join('; ')
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
  const problem = MISSING.test(issue.message) ? 'is missing' : issue.message
  return [{ field: issue.path.join('.') || '(input)', problem }]
}
