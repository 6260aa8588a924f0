import { describe, expect, test } from 'vitest'
import type { EngineUnderTest } from '../../support/engines.ts'
import { RawWorker } from '../../support/raw-worker.ts'
import { failureOf, functionGone, functionKnown, sdkWorker } from '../../support/sdk-worker.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

/** Who owns a function, and what becomes of it. */
export function ownership(engine: () => EngineUnderTest): void {
  describe('ownership of functions', () => {
    test('the last registration of an id wins', async () => {
      const [first, second, caller] = await threeWorkers(engine().url)
      const id = unique('own::f')
      first.registerFunction(id, async () => 'first')
      await functionKnown(caller, id)
      expect(await caller.trigger({ function_id: id, payload: {} })).toBe('first')
      second.registerFunction(id, async () => 'second')
      await until(
        'the second owner',
        async () => (await caller.trigger({ function_id: id, payload: {} })) === 'second',
      )
    })

    test('when the owner disconnects the id is gone, although another live worker had it before', async () => {
      const [first, second, caller] = await threeWorkers(engine().url)
      const id = unique('own::f')
      first.registerFunction(id, async () => 'first')
      await functionKnown(caller, id)
      second.registerFunction(id, async () => 'second')
      await until(
        'the second owner',
        async () => (await caller.trigger({ function_id: id, payload: {} })) === 'second',
      )
      await second.shutdown()
      await functionGone(caller, id)
      expect(await failureOf(caller.trigger({ function_id: id, payload: {} }))).toMatchObject({
        code: 'function_not_found',
      })
    })

    test('a worker that lost an id cannot take it away from its new owner', async () => {
      const [first, second, caller] = await threeWorkers(engine().url)
      const id = unique('own::f')
      const lost = first.registerFunction(id, async () => 'first')
      await functionKnown(caller, id)
      second.registerFunction(id, async () => 'second')
      await until(
        'the second owner',
        async () => (await caller.trigger({ function_id: id, payload: {} })) === 'second',
      )
      lost.unregister()
      await first.shutdown()
      expect(await caller.trigger({ function_id: id, payload: {} })).toBe('second')
    })

    test('an unregistered function is gone', async () => {
      const [owner, caller] = await threeWorkers(engine().url)
      const id = unique('own::f')
      const registration = owner.registerFunction(id, async () => 1)
      await functionKnown(caller, id)
      registration.unregister()
      await functionGone(caller, id)
    })

    test('a worker is greeted with an id and a secret, and each gets its own', async () => {
      const [one, two] = await Promise.all([RawWorker.connect(engine().url), RawWorker.connect(engine().url)])
      for (const worker of [one, two]) {
        expect(worker.id).toMatch(/^[0-9a-f-]{36}$/)
        expect(worker.reattachToken).toMatch(/^[0-9a-f-]{36}$/)
      }
      expect(one.id).not.toBe(two.id)
      one.terminate()
      two.terminate()
    })
  })
}

async function threeWorkers(url: string) {
  return Promise.all([sdkWorker(url), sdkWorker(url), sdkWorker(url)])
}
