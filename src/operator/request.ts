import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import { describeIssues, parseInput, UNKNOWN_FIELD } from '../kernel/input.ts'

/**
 * Checks the input of an operation. The schema has to be strict: if a mistyped filter were ignored, everything would be
 * selected.
 *
 * @throws CqrsError CQRS_VALIDATION that names every invalid field and, if a field is unknown, lists the known ones
 */
export function parseRequest<Request>(schema: z.ZodType<Request>, input: unknown): Request {
  const parsed = parseInput(schema, input)
  if (parsed.ok) return parsed.value
  const { issues } = parsed
  const fields = schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
  const isUnknown = issues.some(({ field, problem }) => problem === UNKNOWN_FIELD && !field.includes('.'))
  const takes = fields.length > 0 ? `Known fields: ${fields.join(', ')}.` : 'This operation takes no fields.'
  const message = describeIssues(issues) + (isUnknown ? `. ${takes}` : '')
  throw new CqrsError('CQRS_VALIDATION', message, { details: { issues } })
}

/** A whole number, or its digits as text: the query of an HTTP request has only texts. */
export function number(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  return z.preprocess(
    (given) => (typeof given === 'string' && /^\d{1,16}$/.test(given) ? Number(given) : given),
    z.int().min(min).max(max),
  )
}

/** Up to where in the log: a position, or a time. */
export function until() {
  return z.union([number(1), z.iso.datetime({ offset: true }), z.iso.date()], {
    error: 'give a position from 1 on, a day (2026-01-31), or a time with its zone (2026-01-31T12:00:00Z)',
  })
}

/** A list of texts, or one text that separates them by commas. */
export function texts() {
  return z.preprocess(
    (given) => (typeof given === 'string' ? given.split(',') : given),
    z.array(z.string().min(1)).min(1).max(100),
  )
}

/** A boolean, or the text `true` or `false`. */
export function flag() {
  return z.preprocess((given) => ({ true: true, false: false })[String(given)] ?? given, z.boolean())
}
