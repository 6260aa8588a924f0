import { expect, test } from 'vitest'
import { caller } from '../../../src/workers/operator/ops-calls.ts'

const LETTERS = 'ops::parked::letters::inventory-list'

/** An engine whose answer to every call is this error. */
function failing(error: object) {
  const calls: object[] = []
  const trigger = async (call: object) => {
    calls.push(call)
    throw Object.assign(new Error('it failed'), error)
  }
  return { calls, iii: { trigger } as unknown as Parameters<typeof caller>[0] }
}

test.each([
  [
    'does not answer in time',
    { code: 'TIMEOUT' },
    /^ops::parked::letters::inventory-list did not answer within 3000 ms.* Try again\.$/,
  ],
  [
    'ends before it has answered',
    { code: 'invocation_stopped' },
    /^The worker of ops::parked::letters::inventory-list ended before it had answered; try again\.$/,
  ],
  [
    'is away',
    { code: 'function_not_found' },
    /^No worker offers ops::parked::letters::inventory-list; .*"cqrs worker projections"/,
  ],
])('a worker that %s is unreachable, and what to do is said', async (_, error, message) => {
  const { iii, calls } = failing(error)
  await expect(
    caller(iii, { token: 't' }, { timeoutMs: 3_000, changes: false })(LETTERS, { limit: 1 }),
  ).rejects.toMatchObject({
    code: 'CQRS_ENGINE_UNREACHABLE',
    message: expect.stringMatching(message),
  })
  expect(calls).toEqual([
    { function_id: LETTERS, payload: { limit: 1 }, metadata: { token: 't' }, timeoutMs: 3_000 },
  ])
})

test('an error of another worker keeps its code, and no function but our own sees the token', async () => {
  const { iii, calls } = failing({ message: 'handler: CQRS_NOT_FOUND: Position 7 is not parked.' })
  await expect(
    caller(iii, { token: 't' }, { timeoutMs: 3_000, changes: false })('iii::queue::list', {}),
  ).rejects.toMatchObject({
    code: 'CQRS_NOT_FOUND',
    message: 'Position 7 is not parked.',
  })
  expect(calls).toEqual([{ function_id: 'iii::queue::list', payload: {}, timeoutMs: 3_000 }])
})

test.each(['TIMEOUT', 'invocation_stopped'])(
  'of a change without an answer nobody knows: %s',
  async (code) => {
    const change = caller(failing({ code }).iii, { token: 't' }, { timeoutMs: 10_000, changes: true })
    await expect(change('ops::parked::redrive::inventory-list', {})).rejects.toThrow(
      /[Tt]ry again\. What you asked for may have been done, or may still be done later\.$/,
    )
  },
)
