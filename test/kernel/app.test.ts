import { expect, test } from 'vitest'
import { z } from 'zod'
import {
  defineApp,
  defineDecider,
  defineEvent,
  defineLogQuery,
  defineProjection,
  defineQuery,
  defineReactor,
} from '../../src/index.ts'
import { inventoryList } from '../../src/inventory/list.ts'

const appWith = (path: string) =>
  defineApp({
    name: 'paths',
    deciders: [],
    projections: [inventoryList],
    queries: [
      defineQuery({
        name: 'all',
        reads: inventoryList,
        http: { method: 'GET', path },
        input: z.looseObject({}),
        run: (view) => view.find({ by: 'stock', limit: 10 }),
      }),
    ],
  })

test.each(['/metrics', '/ops', '/ops/mine', '/health/live', '/console/x', 'console'])(
  'an app may not use the path %s, which is reserved for operators',
  (path) => {
    expect(() => appWith(path)).toThrow(expect.objectContaining({ code: 'CQRS_APP_INVALID' }))
  },
)

test.each(['/operations', '/:tenant/ops', '/healthy', '/'])('an app may have the path %s', (path) => {
  expect(appWith(path).queries.size).toBe(1)
})

const builder = defineDecider({ name: 'shop', events: [], initialState: () => 0 })
const unfinishedView = defineProjection({ name: 'list', events: [], initial: (_key: string) => ({}) })
const decider = builder.evolve({}).commands({})
const schema = z.strictObject({})
const sell = { schema, stream: () => 'shop', decide: () => [] }
const route = { method: 'POST', path: '/sell' }

test.each([
  { options: undefined, says: '(input): must be an object {name, deciders' },
  { options: { name: 'shop' }, says: 'deciders: must be an array of deciders ([] for none)' },
  { options: { deciders: [] }, says: 'name: must be a string' },
  {
    options: { name: 'shop', decider: [decider], deciders: [] },
    says: 'decider: is not known; leave it out',
  },
  { options: { name: 'shop', deciders: decider }, says: 'deciders: must be an array' },
  { options: { name: 'shop', deciders: [undefined] }, says: 'deciders.0: must be made by defineDecider' },
  {
    options: { name: 'shop', deciders: [builder] },
    says: 'deciders.0: is not finished; end it with .evolve({…}).commands({…}).',
  },
  {
    options: { name: 'shop', deciders: [{ ...decider, events: [undefined] }] },
    says: 'deciders.0.events.0: must be',
  },
  {
    options: {
      name: 'shop',
      deciders: [builder.evolve({}).commands({ sell: { decide: () => [] } } as never)],
    },
    says: 'deciders.0.commands.sell.schema: must be a zod schema; deciders.0.commands.sell.stream: must be a function',
  },
  {
    options: { name: 'shop', deciders: [], projections: [unfinishedView] },
    says: 'projections.0: is not finished; end it with .on({…}).',
  },
  {
    options: { name: 'shop', deciders: [], queries: [{ name: 'all' }] },
    says: 'queries.0.run: must be a function',
  },
  {
    options: {
      name: 'shop',
      deciders: [builder.evolve({}).commands({ sell: { ...sell, htpp: route } } as never)],
    },
    says: 'deciders.0.commands.sell.htpp: is not known; leave it out.',
  },
  {
    options: {
      name: 'shop',
      deciders: [
        builder.evolve({}).commands({ sell: { ...sell, http: { ...route, stauts: 201 } } } as never),
      ],
    },
    says: 'deciders.0.commands.sell.http.stauts: is not known; leave it out.',
  },
])('an incomplete app is refused with what is missing: $says', ({ options, says }) => {
  expect(() => defineApp(options as never)).toThrow(
    expect.objectContaining({ code: 'CQRS_APP_INVALID', message: expect.stringContaining(says) }),
  )
})

const view = { name: 'list', events: [], initial: () => ({}), verison: 2 }
const question = { name: 'all', input: schema, run: () => [], htpp: route }

test.each([
  ['The decider shop', 'verison', () => defineDecider({ ...view, name: 'shop' } as never).evolve({})],
  ['The projection list', 'verison', () => defineProjection(view as never).on({})],
  ['The reactor list', 'verison', () => defineReactor(view as never).on({})],
  ['The query all', 'htpp', () => defineQuery({ ...question, reads: inventoryList } as never)],
  ['The query all', 'htpp', () => defineLogQuery(question as never)],
  ['Event sold', 'verison', () => defineEvent({ type: 'sold', schema, verison: 2 } as never)],
])('an option that nobody reads is refused: %s has %s', (what, option, make) => {
  expect(make).toThrow(
    expect.objectContaining({
      code: 'CQRS_APP_INVALID',
      message: expect.stringMatching(`^${what} has the unknown option .*${option}`),
    }),
  )
})

test('a query without "reads" is refused with a message that says so', () => {
  const query = { name: 'all', reads: undefined, input: z.strictObject({}), run: () => [] }
  expect(() => defineQuery(query as never)).toThrow(
    expect.objectContaining({ code: 'CQRS_APP_INVALID', message: expect.stringContaining('reads') }),
  )
})

test.each(['/shops/:shop/stock', '/shops/:name/stock', 'shops/:shop/stock'])(
  'two commands may not have one route: /shops/:shop/stock and %s',
  (path) => {
    const schema = z.strictObject({ shop: z.string().optional(), name: z.string().optional() })
    const command = (path: string) => ({
      schema,
      http: { method: 'POST' as const, path },
      stream: () => 'shop',
      decide: () => [],
    })
    const both = (second: ReturnType<typeof command>) =>
      defineApp({
        name: 'shops',
        deciders: [builder.evolve({}).commands({ fill: command('/shops/:shop/stock'), empty: second })],
      })
    expect(() => both(command(path))).toThrow(
      `The command fill and the command empty have the same route, POST ${path}; change the path of one.`,
    )
    expect(both({ ...command(path), http: { method: 'PUT' as never, path } }).commands.size).toBe(2)
  },
)

test.each([
  ['strict', z.strictObject({ sku: z.string() })],
  ['that drops unknown fields', z.object({ sku: z.string() })],
])('a parameter of a path that an object schema (%s) does not have is refused', (_kind, input) => {
  const history = (path: string, input: z.ZodType) =>
    defineApp({
      name: 'paths',
      deciders: [],
      queries: [defineLogQuery({ name: 'history', http: { method: 'GET', path }, input, run: () => [] })],
    })
  expect(() => history('/items/:id/history', input)).toThrow(
    'The path of the query history, /items/:id/history, has the parameter :id, but its schema has no such field; it has: sku.',
  )
  expect(history('/items/:sku/history', input).queries.size).toBe(1)
  expect(history('/items/:id', z.looseObject({})).queries.size).toBe(1)
  expect(history('/items/:id', z.unknown()).queries.size).toBe(1)
})
