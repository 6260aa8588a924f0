import { expect, test } from 'vitest'
import { engineForTest, workerForTest } from './start.ts'

test.each([
  { condition_function_id: 5 },
  { condition_function_id: ['guard::f'] },
  { middleware_function_ids: 'guard::f' },
  { middleware_function_ids: ['guard::f', { function_id: 'guard::g' }] },
])('a route whose guard cannot be read is refused, and not served without it: %j', async (guard) => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  await worker.offer('open::f', () => ({ body: 'in' }))
  const bind = (id: string, config: object) =>
    worker.send({ type: 'registertrigger', id, trigger_type: 'http', function_id: 'open::f', config })
  bind('guarded', { api_path: '/guarded', ...guard })
  expect(await worker.next('the refusal', (frame) => frame.id === 'guarded')).toMatchObject({
    type: 'triggerregistrationresult',
    error: {
      code: 'trigger_registration_failed',
      message: expect.stringContaining(Object.keys(guard)[0] ?? ''),
    },
  })
  bind('open', { api_path: '/open', condition_function_id: null, middleware_function_ids: null })
  await worker.settled()
  expect((await fetch(`${engine.httpUrl}/open`)).status).toBe(200)
  expect((await fetch(`${engine.httpUrl}/guarded`)).ok).toBe(false)
})
