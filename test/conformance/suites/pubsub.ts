import type { IIIClient } from 'iii-sdk'
import { describe, expect, test } from 'vitest'
import type { EngineUnderTest } from '../../support/engines.ts'
import { failureOf, functionKnown, sdkWorker } from '../../support/sdk-worker.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

/** The function `publish` and the trigger type `subscribe`. */
export function pubsub(engine: () => EngineUnderTest): void {
  describe('pubsub', () => {
    test('every subscriber of a topic gets the bare data, and nobody else', async () => {
      const { url } = engine()
      const [one, two, publisher] = await Promise.all([sdkWorker(url), sdkWorker(url), sdkWorker(url)])
      const [topic, seen] = [unique('topic'), [] as unknown[]]
      await subscribe(one, topic, (data) => seen.push(['one', data]))
      await subscribe(two, topic, (data) => seen.push(['two', data]))
      await subscribe(two, unique('topic'), () => seen.push('wrong topic'))
      const data = { sku: 'A-1', left: 2 }
      expect(await publisher.trigger({ function_id: 'publish', payload: { topic, data } })).toBeUndefined()
      await until('both subscribers', () => seen.length === 2)
      expect(seen.sort()).toEqual([
        ['one', data],
        ['two', data],
      ])
      await publisher.trigger({ function_id: 'publish', payload: { topic, data: 'text' } })
      await until('both again', () => seen.length === 4)
      expect(seen.slice(2).sort()).toEqual([
        ['one', 'text'],
        ['two', 'text'],
      ])
    })

    test('publishing to nobody, and to a subscriber that fails, succeeds', async () => {
      const worker = await sdkWorker(engine().url)
      const topic = unique('topic')
      const publish = () => worker.trigger({ function_id: 'publish', payload: { topic, data: 1 } })
      expect(await publish()).toBeUndefined()
      let calls = 0
      await subscribe(worker, topic, () => {
        calls += 1
        throw new Error('nobody hears this')
      })
      expect(await publish()).toBeUndefined()
      await until('the subscriber', () => calls === 1)
    })

    test('a subscription ends when it is unregistered', async () => {
      const worker = await sdkWorker(engine().url)
      const [topic, marker, seen] = [unique('topic'), unique('topic'), [] as unknown[]]
      const subscription = await subscribe(worker, topic, (data) => seen.push(data))
      await subscribe(worker, marker, () => seen.push('marker'))
      subscription.unregister()
      await worker.trigger({ function_id: 'publish', payload: { topic, data: 'too late' } })
      await worker.trigger({ function_id: 'publish', payload: { topic: marker, data: 1 } })
      await until('the marker', () => seen.includes('marker'))
      expect(seen).toEqual(['marker'])
    })

    test('a topic is needed, and data', async () => {
      const worker = await sdkWorker(engine().url)
      const publish = (payload: unknown) => failureOf(worker.trigger({ function_id: 'publish', payload }))
      expect((await publish({ topic: '', data: 1 }))?.code).toBe('topic_not_set')
      expect((await publish({ topic: 't' }))?.code).toBe('deserialization_error')
      expect((await publish({ data: 1 }))?.code).toBe('deserialization_error')
    })
  })
}

async function subscribe(worker: IIIClient, topic: string, handler: (data: unknown) => unknown) {
  const id = unique('pubsub::subscriber')
  worker.registerFunction(id, async (data: unknown) => void handler(data))
  const trigger = worker.registerTrigger({ type: 'subscribe', function_id: id, config: { topic } })
  await functionKnown(worker, id)
  await until('the subscription', async () => {
    const { registered_triggers } = await worker.trigger({
      function_id: 'engine::registered-triggers::list',
      payload: { function_id: id },
    })
    return registered_triggers.length === 1
  })
  return trigger
}
