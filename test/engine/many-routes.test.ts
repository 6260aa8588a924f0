import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { engineForTest, route, workerForTest } from './start.ts'

const ROUTES = 5_000

test('a worker that comes and goes with thousands of routes does not hold up the others', async () => {
  const engine = await engineForTest()
  const steady = await workerForTest(engine)
  await route(steady, { api_path: '/steady/:id' }, () => ({ body: 'here' }))
  const many = await workerForTest(engine)
  for (let index = 0; index < ROUTES; index += 1) {
    const config = { api_path: `/many/${index}/:id`, http_method: 'GET' }
    many.send({
      type: 'registertrigger',
      id: `many-${index}`,
      trigger_type: 'http',
      function_id: 'm',
      config,
    })
  }
  await route(many, { api_path: '/last' }, () => ({ body: 'last' }))
  // The engine stood still for more than a minute here while each removal built all routes anew.
  const ask = async (path: string) =>
    (await fetch(`${engine.httpUrl}${path}`, { signal: AbortSignal.timeout(3_000) })).status
  expect(await ask('/last')).toBe(200)
  many.terminate()
  await until('the routes of the worker are gone', async () => (await ask('/last')) === 404)
  expect(await ask('/many/1/x')).toBe(404)
  expect(await ask('/steady/x')).toBe(200)
})
