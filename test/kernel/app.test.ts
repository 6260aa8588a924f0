import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineApp, defineQuery } from '../../src/index.ts'
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
        input: z.strictObject({}),
        run: (view) => view.find({ by: 'stock', limit: 10 }),
      }),
    ],
  })

test.each(['/metrics', '/ops', '/ops/mine', '/health/live', '/console/x', 'console'])(
  'an app does not take the path %s from operators',
  (path) => {
    expect(() => appWith(path)).toThrow(expect.objectContaining({ code: 'CQRS_APP_INVALID' }))
  },
)

test.each(['/operations', '/:tenant/ops', '/healthy', '/'])('an app may have the path %s', (path) => {
  expect(appWith(path).queries.size).toBe(1)
})
