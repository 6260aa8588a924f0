import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import { describeIssues, parseInput } from '../kernel/input.ts'

/** Checks what an operator asks for. @throws CqrsError CQRS_VALIDATION that names every field that does not fit */
export function parseRequest<Request>(schema: z.ZodType<Request>, input: unknown): Request {
  const parsed = parseInput(schema, input)
  if (parsed.ok) return parsed.value
  throw new CqrsError('CQRS_VALIDATION', describeIssues(parsed.issues), {
    details: { issues: parsed.issues },
  })
}

/** A whole number, also as the text that the query of an HTTP request has. */
export function number(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  return z.preprocess(
    (given) => (typeof given === 'string' && /^\d{1,16}$/.test(given) ? Number(given) : given),
    z.int().min(min).max(max),
  )
}

/** A list of texts, also separated by commas in one text. */
export function texts() {
  return z.preprocess(
    (given) => (typeof given === 'string' ? given.split(',') : given),
    z.array(z.string().min(1)).min(1).max(100),
  )
}

/** Yes or no, also as the text `true` or `false`. */
export function flag() {
  return z.preprocess((given) => ({ true: true, false: false })[String(given)] ?? given, z.boolean())
}
