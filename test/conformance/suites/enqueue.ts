import { TriggerAction } from 'iii-sdk'
import { describe, expect, test } from 'vitest'
import type { EngineUnderTest } from '../../support/engines.ts'
import { RawWorker } from '../../support/raw-worker.ts'
import { failureOf, functionGone, functionKnown, sdkWorker } from '../../support/sdk-worker.ts'

const PROVIDER = 'engine::queue::enqueue'

/** Enqueue: the engine asks whichever worker has registered `engine::queue::enqueue`. */
export function enqueue(engine: () => EngineUnderTest): void {
  describe('enqueue', () => {
    test('without a provider the caller gets enqueue_error', async () => {
      const caller = await sdkWorker(engine().url)
      await functionGone(caller, PROVIDER)
      const failure = await failureOf(enqueueCall(caller, 'mail::send', { to: 'a' }))
      expect(failure?.code).toBe('enqueue_error')
      expect(failure?.message).toContain(PROVIDER)
    })

    test('the provider gets the message, and its success becomes the receipt of the caller', async () => {
      const [provider, caller] = await Promise.all([sdkWorker(engine().url), sdkWorker(engine().url)])
      const taken: Record<string, unknown>[] = []
      provider.registerFunction(PROVIDER, async (message: Record<string, unknown>) => {
        taken.push(message)
        return { whatever: true }
      })
      await functionKnown(caller, PROVIDER)
      const receipt = await enqueueCall(caller, 'mail::send', { to: 'a' })
      expect(receipt).toEqual({ messageReceiptId: taken[0]?.messageReceiptId })
      expect(taken).toEqual([
        {
          queue: 'mail',
          function_id: 'mail::send',
          data: { to: 'a' },
          messageReceiptId: expect.stringMatching(/^[0-9a-f-]{36}$/),
          traceparent: null,
          baggage: 'iii.function.id=mail::send',
        },
      ])
      const next = await enqueueCall(caller, 'mail::send', [1])
      expect(next).not.toEqual(receipt)
      expect(taken[1]?.data).toEqual([1])
    })

    test('the refusal of the provider becomes enqueue_error with code and message', async () => {
      const [provider, caller] = await Promise.all([RawWorker.connect(engine().url), sdkWorker(engine().url)])
      await provider.offer(PROVIDER, () => {
        throw new Error('the queue mail is full')
      })
      const failure = await failureOf(enqueueCall(caller, 'mail::send', {}))
      expect(failure?.code).toBe('enqueue_error')
      expect(failure?.message).toContain('invocation_failed: the queue mail is full')
      provider.terminate()
      await functionGone(caller, PROVIDER)
    })

    test('the trace of the caller goes along with the message', async () => {
      const [provider, caller] = await Promise.all([
        RawWorker.connect(engine().url),
        RawWorker.connect(engine().url),
      ])
      await provider.offer(PROVIDER, () => undefined)
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
      const action = { type: 'enqueue', queue: 'mail' }
      const answer = await caller.call('mail::send', {}, { action, traceparent, baggage: 'tenant=7' })
      const message = await provider.next('the message', (frame) => frame.function_id === PROVIDER)
      expect(message.data).toMatchObject({ traceparent })
      const { baggage } = message.data as { baggage: string }
      expect(baggage.split(',').sort()).toEqual(['iii.function.id=mail::send', 'tenant=7'])
      expect(answer).toMatchObject({ traceparent, baggage: 'tenant=7' })
      provider.terminate()
      caller.terminate()
    })
  })
}

function enqueueCall(caller: Awaited<ReturnType<typeof sdkWorker>>, functionId: string, payload: unknown) {
  return caller.trigger({
    function_id: functionId,
    payload,
    action: TriggerAction.Enqueue({ queue: 'mail' }),
  })
}
