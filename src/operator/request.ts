import type { z } from 'zod'
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
