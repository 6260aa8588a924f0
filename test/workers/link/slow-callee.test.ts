import { expect, test } from 'vitest'
import type { DeliveryRequest } from '../../../src/queue/queue.ts'
import { isCalleeSlow } from '../../../src/workers/link/slow-callee.ts'
import { relayTracing } from '../../../src/workers/process/tracing.ts'
import { sendEffect } from '../../../src/workers/projections/send-effect.ts'
import { deliverBy } from '../../../src/workers/queue/queue-delivery.ts'

const TIMEOUT = Object.assign(new Error('TIMEOUT: no answer'), { code: 'TIMEOUT' })

/** An engine on which every function is too slow, and that answers itself, says no, or does not answer either. */
function engine({ answers, no }: { answers: boolean; no?: object }) {
  const asked: string[] = []
  const trigger = async ({ function_id }: { function_id: string }): Promise<never> => {
    asked.push(function_id)
    if (no && function_id.startsWith('engine::')) throw Object.assign(new Error('no'), no)
    if (answers && function_id.startsWith('engine::')) return undefined as never
    throw TIMEOUT
  }
  return { iii: { trigger } as unknown as Parameters<typeof sendEffect>[0], asked }
}

const effect = { kind: 'call', functionId: 'slow', data: {} } as const
const request = {
  queue: 'jobs',
  message: { functionId: 'slow', data: '{}' },
  settings: { timeout_ms: 100 },
} as unknown as DeliveryRequest

test('the receiver of an effect has the time that the settings give it', async () => {
  const asked: unknown[] = []
  const trigger = async (call: object) => void asked.push(call)
  const iii = { trigger } as unknown as Parameters<typeof sendEffect>[0]
  expect(
    await sendEffect(iii, effect, 'alerts:1:1', { timeoutMs: 20_000, others: { met() {}, missed() {} } }),
  ).toBe('sent')
  expect(asked).toMatchObject([{ function_id: 'slow', timeoutMs: 20_000 }])
})

test('a function that does not answer in time has failed if its engine answers', async () => {
  const { iii } = engine({ answers: true })
  await expect(
    sendEffect(iii, effect, 'alerts:1:1', { timeoutMs: 5_000, others: { met() {}, missed() {} } }),
  ).rejects.toThrow(TIMEOUT)
  expect(await deliverBy(iii, relayTracing())(request)).toEqual({
    outcome: 'failed',
    error: 'TIMEOUT: no answer',
  })
})

test('a function that does not answer in time has failed, too, where the engine tells this worker nothing of itself', async () => {
  const { iii } = engine({ answers: true, no: { code: 'FORBIDDEN' } })
  await expect(
    sendEffect(iii, effect, 'alerts:1:1', { timeoutMs: 5_000, others: { met() {}, missed() {} } }),
  ).rejects.toThrow(TIMEOUT)
  expect(await deliverBy(iii, relayTracing())(request)).toMatchObject({ outcome: 'failed' })
})

test.each([
  ['the link breaks', { code: 'link_lost' }],
  ['this process ends', {}],
])('a function has not failed if %s while its engine is asked', async (_what, no) => {
  const { iii } = engine({ answers: true, no })
  expect(
    await sendEffect(iii, effect, 'alerts:1:1', { timeoutMs: 5_000, others: { met() {}, missed() {} } }),
  ).toBe('unreachable')
  expect(await deliverBy(iii, relayTracing())(request)).toEqual({ outcome: 'unsent' })
})

test('a function has not failed if its engine answers nothing either', async () => {
  const { iii } = engine({ answers: false })
  expect(
    await sendEffect(iii, effect, 'alerts:1:1', { timeoutMs: 5_000, others: { met() {}, missed() {} } }),
  ).toBe('unreachable')
  expect(await deliverBy(iii, relayTracing())(request)).toEqual({ outcome: 'unsent' })
})

test('a timeout that comes long after it was due, in a process that stood still, says nothing', async () => {
  const { iii, asked } = engine({ answers: true })
  const call = { begunAt: 1_000, timeoutMs: 5_000 }
  expect(await isCalleeSlow(iii, call, 6_500)).toBe(true)
  expect(asked.splice(0)).toHaveLength(1)
  expect(await isCalleeSlow(iii, call, 60_000)).toBe(false)
  expect(asked).toEqual([])
})
