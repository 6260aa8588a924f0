import type { z } from 'zod'
import { parseInput } from '../command/validate.ts'
import { CqrsError } from '../kernel/errors.ts'

/** Checks what an operator asks for. @throws CqrsError CQRS_VALIDATION that names every field that does not fit */
export function parseRequest<Request>(schema: z.ZodType<Request>, input: unknown): Request {
  const parsed = parseInput(schema, input)
  if (parsed.ok) return parsed.value
  const message = parsed.issues.map(({ field, problem }) => `${field}: ${problem}`).join('; ')
  throw new CqrsError('CQRS_VALIDATION', message, { details: { issues: parsed.issues } })
}
