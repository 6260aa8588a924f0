import { randomUUID } from 'node:crypto'
import { TriggerAction } from 'iii-sdk'
import { describe, expect, test } from 'vitest'
import type { EngineUnderTest } from '../../support/engines.ts'
import { RawWorker } from '../../support/raw-worker.ts'
import { failureOf, functionKnown, sdkWorker } from '../../support/sdk-worker.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

/** Calls between workers: what arrives, what comes back, and how they fail. */
export function calls(engine: () => EngineUnderTest): void {
  describe('calls', () => {
    test('data and result travel unchanged, unicode and nesting included', async () => {
      const [owner, caller] = await pair(engine().url)
      const id = unique('call::echo')
      owner.registerFunction(id, async (input: { value: unknown }) => ({ got: input.value }))
      await functionKnown(caller, id)
      for (const value of [
        { a: [1, 2.5, -3e10, true, null, { 'ключ "\\': '\u2028 \ud83d\ude00 \n' }] },
        [],
        'text with "quotes" and \\ backslashes',
        '',
        0,
        false,
        null,
      ]) {
        expect(await caller.trigger({ function_id: id, payload: { value } })).toEqual({ got: value })
      }
    })

    test('an object payload names the calling worker, whatever the caller wrote there; other payloads stay bare', async () => {
      const owner = await RawWorker.connect(engine().url)
      const caller = await RawWorker.connect(engine().url)
      const id = unique('call::echo')
      await owner.offer(id, (data) => data)
      const named = { a: 1, _caller_worker_id: caller.id }
      expect((await caller.call(id, { a: 1 })).result).toEqual(named)
      expect((await caller.call(id, { a: 1, _caller_worker_id: 'forged' })).result).toEqual(named)
      expect((await caller.call(id, {})).result).toEqual({ _caller_worker_id: caller.id })
      expect((await caller.call(id, [1])).result).toEqual([1])
      expect((await caller.call(id, 'text')).result).toBe('text')
      owner.terminate()
      caller.terminate()
    })

    test('metadata reaches the handler beside the data', async () => {
      const [owner, caller] = await pair(engine().url)
      const id = unique('call::meta')
      owner.registerFunction(id, async (_input: unknown, metadata?: unknown) => ({
        metadata: metadata ?? 'none',
      }))
      await functionKnown(caller, id)
      expect(await caller.trigger({ function_id: id, payload: {}, metadata: { tenant: 7 } })).toEqual({
        metadata: { tenant: 7 },
      })
      expect(await caller.trigger({ function_id: id, payload: {} })).toEqual({ metadata: 'none' })
    })

    test('a handler that returns nothing or null gives the caller undefined', async () => {
      const [owner, caller] = await pair(engine().url)
      const id = unique('call::nothing')
      owner.registerFunction(id, async (input: { kind: string }) =>
        input.kind === 'null' ? null : undefined,
      )
      await functionKnown(caller, id)
      expect(await caller.trigger({ function_id: id, payload: { kind: 'null' } })).toBeUndefined()
      expect(await caller.trigger({ function_id: id, payload: { kind: 'undefined' } })).toBeUndefined()
    })

    test('a handler that throws is invocation_failed with its message and stack', async () => {
      const [owner, caller] = await pair(engine().url)
      const id = unique('call::throws')
      owner.registerFunction(id, async () => {
        throw new Error('out of stock')
      })
      await functionKnown(caller, id)
      const failure = await failureOf(caller.trigger({ function_id: id, payload: {} }))
      expect(failure).toMatchObject({ code: 'invocation_failed', function_id: id })
      expect(failure?.message).toContain('out of stock')
      expect((failure as { stacktrace?: string }).stacktrace).toContain('Error: out of stock')
    })

    test('a function that nobody registered is function_not_found and the message names it', async () => {
      const caller = await sdkWorker(engine().url)
      const id = unique('call::missing')
      const failure = await failureOf(caller.trigger({ function_id: id, payload: {} }))
      expect(failure?.code).toBe('function_not_found')
      expect(failure?.message).toContain(id)
    })

    test('calls in flight are invocation_stopped when their executor dies', async () => {
      const owner = await RawWorker.connect(engine().url)
      const caller = await sdkWorker(engine().url)
      const id = unique('call::hangs')
      await owner.offer(id, () => new Promise(() => {}))
      const failures = [1, 2, 3].map(() => failureOf(caller.trigger({ function_id: id, payload: {} })))
      await until(
        'the calls to arrive',
        () => owner.frames.filter((frame) => frame.function_id === id).length === 3,
      )
      owner.terminate()
      for (const failure of failures) expect(await failure).toMatchObject({ code: 'invocation_stopped' })
    })

    test('a result that comes after its caller left harms nobody', async () => {
      const owner = await RawWorker.connect(engine().url)
      const caller = await RawWorker.connect(engine().url)
      const id = unique('call::late')
      let answer: (value: unknown) => void = () => {}
      await owner.offer(id, () => new Promise((resolve) => (answer = resolve)))
      caller.send({ type: 'invokefunction', invocation_id: randomUUID(), function_id: id, data: {} })
      await owner.next('the call', (frame) => frame.function_id === id)
      caller.terminate()
      answer('late')
      await owner.settled()
      expect(owner.closedWith).toBeUndefined()
      owner.terminate()
    })

    test('a worker can call its own functions', async () => {
      const worker = await sdkWorker(engine().url)
      const id = unique('call::own')
      worker.registerFunction(id, async (input: { n: number }) => input.n + 1)
      await functionKnown(worker, id)
      expect(await worker.trigger({ function_id: id, payload: { n: 1 } })).toBe(2)
    })

    test('a void call reaches the function and reports nothing, not even that it is missing', async () => {
      const [owner, caller] = await pair(engine().url)
      const id = unique('call::void')
      const seen: unknown[] = []
      owner.registerFunction(id, async (input: { n: number }) => {
        seen.push(input.n)
        throw new Error('nobody hears this')
      })
      await functionKnown(caller, id)
      const action = TriggerAction.Void()
      expect(await caller.trigger({ function_id: id, payload: { n: 1 }, action })).toBeUndefined()
      expect(
        await caller.trigger({ function_id: unique('call::missing'), payload: {}, action }),
      ).toBeUndefined()
      await until('the call', () => seen.length === 1)
      expect(seen).toEqual([1])
    })

    test('a thousand calls at once each get their own answer', async () => {
      const [owner, caller] = await pair(engine().url)
      const id = unique('call::many')
      owner.registerFunction(id, async (input: { n: number }) => input.n * 2)
      await functionKnown(caller, id)
      const answers = await Promise.all(
        Array.from({ length: 1_000 }, (_, n) => caller.trigger({ function_id: id, payload: { n } })),
      )
      expect(answers).toEqual(Array.from({ length: 1_000 }, (_, n) => n * 2))
    })

    test('the trace of a call reaches the executor, whose id is in the baggage, and returns to the caller', async () => {
      const owner = await RawWorker.connect(engine().url)
      const caller = await RawWorker.connect(engine().url)
      const id = unique('call::traced')
      await owner.offer(id, () => 1)
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
      const answer = await caller.call(id, {}, { traceparent, baggage: 'tenant=7' })
      const call = await owner.next('the call', (frame) => frame.function_id === id)
      expect(call.traceparent).toBe(traceparent)
      expect(String(call.baggage).split(',').sort()).toEqual([`iii.function.id=${id}`, 'tenant=7'])
      expect(answer).toMatchObject({ traceparent, baggage: 'tenant=7' })
      owner.terminate()
      caller.terminate()
    })

    test('frames that mean nothing harm neither their sender nor its calls', async () => {
      const worker = await RawWorker.connect(engine().url)
      const id = unique('call::sturdy')
      await worker.offer(id, () => 'fine')
      worker.send({ type: 'no-such-frame' })
      worker.send({ type: 'unregistertriggertype', id: 'never-registered' })
      worker.send({ type: 'registerfunction' })
      worker.send({ type: 'pong' })
      expect((await worker.call(id, {})).result).toBe('fine')
      worker.terminate()
    })
  })
}

async function pair(url: string) {
  return Promise.all([sdkWorker(url), sdkWorker(url)])
}
