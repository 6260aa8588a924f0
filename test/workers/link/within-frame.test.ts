import { expect, test } from 'vitest'
import { success } from '../../../src/workers/link/http.ts'
import { withinFrame } from '../../../src/workers/link/within-frame.ts'

const overHttp = { trigger: { type: 'http' }, path_params: {}, query_params: {}, headers: {}, body: null }

test('an answer that fits is handed on, one that does not is an error for its caller, over HTTP with what answers carry', async () => {
  let text = 'x'.repeat(40)
  const call = withinFrame('query::all', async () => ({ text }), 60)
  expect(await call({})).toEqual({ text })
  text = 'é'.repeat(40)
  await expect(call({})).rejects.toThrow(
    'CQRS_TOO_LARGE: query::all answers with 91 bytes of JSON; the engine accepts at most 60.',
  )

  const route = withinFrame(
    'query::all',
    async () => success({ text }, 200, { 'Cache-Control': 'no-store' }),
    60,
  )
  expect(await route(overHttp)).toMatchObject({
    status_code: 500,
    headers: { 'Cache-Control': 'no-store', 'Content-Type': 'application/json' },
    body: { error: { code: 'CQRS_TOO_LARGE', details: { limit: 60 } } },
  })
})
