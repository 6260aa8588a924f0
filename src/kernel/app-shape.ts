import { z } from 'zod'
import { CqrsError } from './errors.ts'
import { describeIssues, parseInput } from './input.ts'

/**
 * Checks that `defineApp` was given finished definitions. The compiler checks the same, but an app runs without being
 * compiled and may be plain JavaScript.
 *
 * @throws CqrsError CQRS_APP_INVALID that names every field that does not fit
 */
export function assertAppShape(options: unknown): void {
  const parsed = parseInput(app, options)
  if (parsed.ok) return
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `The argument of defineApp is not valid: ${describeIssues(parsed.issues)}.`,
  )
}

const text = z.string({ error: 'must be a string' })

const callable = z.custom((value) => typeof value === 'function', 'must be a function')

const schema = z.custom(
  (value) => typeof (value as { safeParse?: unknown } | null | undefined)?.safeParse === 'function',
  'must be a zod schema',
)

const route = z
  .strictObject(
    { method: text, path: text, status: z.int().optional() },
    { error: ({ input }) => (isObject(input) ? undefined : 'must be {method, path, status}') },
  )
  .optional()

const event = z.looseObject({ type: text, schema }, { error: 'must be made by defineEvent' })

const events = list(event, 'events')

const command = z.strictObject(
  { schema, stream: callable, decide: callable, http: route },
  { error: ({ input }) => (isObject(input) ? undefined : 'must be {schema, stream, decide, http}') },
)

const decider = made('defineDecider', 'commands', '.evolve({…}).commands({…})').pipe(
  z.looseObject({
    name: text,
    events,
    initialState: callable,
    commands: z.record(z.string(), command),
  }),
)

const view = made('defineProjection or defineReactor', 'handler', '.on({…})').pipe(
  z.looseObject({ name: text, events, initial: callable, handler: callable }),
)

const query = z.looseObject(
  { name: text, input: schema, run: callable, http: route },
  { error: 'must be made by defineQuery or defineLogQuery' },
)

const app = z.strictObject(
  {
    name: text,
    deciders: list(decider, 'deciders'),
    projections: list(view, 'projections').optional(),
    reactors: list(view, 'reactors').optional(),
    queries: list(query, 'queries').optional(),
  },
  { error: 'must be an object {name, deciders, projections, reactors, queries}' },
)

function list<Item extends z.ZodType>(item: Item, what: string) {
  return z.array(item, { error: `must be an array of ${what} ([] for none)` })
}

/** A definition that is built in steps; the last step adds its `name` and the field `last`. */
function made(maker: string, last: string, end: string) {
  return z.custom((value) => isObject(value) && 'name' in value && last in value, {
    error: ({ input }) =>
      isObject(input) ? `is not finished; end it with ${end}` : `must be made by ${maker}`,
  })
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
