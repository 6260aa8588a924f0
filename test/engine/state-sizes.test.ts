import { expect, test } from 'vitest'
import { engineForTest, workerForTest } from './start.ts'

test('a value cannot grow step by step beyond what is allowed, and stays what it was', async () => {
  const engine = await engineForTest({ state: { maxValueBytes: 100 } })
  const worker = await workerForTest(engine)
  const place = { scope: 's', key: 'k' }
  const append = (value: string) =>
    worker.call('state::update', { ...place, ops: [{ type: 'append', path: 'text', value }] })
  expect((await append('x'.repeat(60))).error).toBeUndefined()
  expect((await append('x'.repeat(60))).error).toMatchObject({ code: 'VALUE_TOO_LARGE' })
  const kept = (await worker.call('state::get', place)).result
  expect(JSON.stringify(kept)).toContain('x'.repeat(60))
  expect(JSON.stringify(kept)).not.toContain('x'.repeat(61))
})

test('a scope whose values are together more than a worker is sent is an error for who lists it, and cuts off nobody', async () => {
  const engine = await engineForTest({ limits: { maxBufferedBytes: 165_536 } })
  const worker = await workerForTest(engine)
  for (const key of ['a', 'b', 'c']) {
    expect(
      (await worker.call('state::set', { scope: 's', key, value: 'x'.repeat(40_000) })).error,
    ).toBeUndefined()
  }
  expect((await worker.call('state::list', { scope: 's' })).error).toMatchObject({ code: 'RESULT_TOO_LARGE' })
  await worker.call('state::delete', { scope: 's', key: 'a' })
  expect((await worker.call('state::list', { scope: 's' })).result).toHaveLength(2)
})
