import { describe, expect, test } from 'vitest'
import type { EngineUnderTest } from '../../support/engines.ts'
import { type Frame, RawWorker } from '../../support/raw-worker.ts'
import { failureOf, functionKnown, sdkWorker } from '../../support/sdk-worker.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

/** Trigger types that workers provide, and the bindings to them. */
export function triggers(engine: () => EngineUnderTest): void {
  describe('triggers', () => {
    test('a provider gets the bindings of its type with config and metadata, and loses them on unregistration', async () => {
      const [provider, user] = await Promise.all([sdkWorker(engine().url), sdkWorker(engine().url)])
      const type = unique('trig::type')
      const log: unknown[] = []
      provider.registerTriggerType(
        { id: type, description: 'for a test' },
        {
          registerTrigger: async (trigger) =>
            void log.push(['bound', trigger.function_id, trigger.config, trigger.metadata]),
          unregisterTrigger: async (trigger) => void log.push(['unbound', trigger.id]),
        },
      )
      const config = { every: 5 }
      const trigger = user.registerTrigger({ type, function_id: 'any::f', config, metadata: { m: 1 } })
      await until('the binding', () => log.length === 1)
      expect(log[0]).toEqual(['bound', 'any::f', config, { m: 1 }])
      trigger.unregister()
      await until('the end of the binding', () => log.length === 2)
      expect(log[1]).toEqual(['unbound', expect.stringMatching(/^[0-9a-f-]{36}$/)])
    })

    test('a trigger that comes before its type is parked and handed over when a provider arrives', async () => {
      const [user, provider] = await rawPair(engine().url)
      const [id, type] = [unique('trigger'), unique('trig::type')]
      user.send({ type: 'registertrigger', id, trigger_type: type, function_id: 'any::f', config: { n: 1 } })
      expect(await liveTriggers(user, type)).toEqual([])
      provider.send({ type: 'registertriggertype', id: type, description: 'for a test' })
      const frame = await provider.next('the binding', bindingOf(id))
      expect(frame).toEqual({
        type: 'registertrigger',
        id,
        trigger_type: type,
        function_id: 'any::f',
        config: { n: 1 },
      })
      expect(await liveTriggers(user, type)).toEqual([id])
      user.terminate()
      provider.terminate()
    })

    test('when a provider goes its bindings are parked, and the next provider gets them', async () => {
      const [user, provider] = await rawPair(engine().url)
      const [id, type] = [unique('trigger'), unique('trig::type')]
      provider.send({ type: 'registertriggertype', id: type, description: 'first' })
      await provider.settled()
      user.send({ type: 'registertrigger', id, trigger_type: type, function_id: 'any::f', config: {} })
      await provider.next('the binding', bindingOf(id))
      provider.terminate()
      await until('the binding to be parked', async () => (await liveTriggers(user, type)).length === 0)
      const successor = await RawWorker.connect(engine().url)
      successor.send({ type: 'registertriggertype', id: type, description: 'second' })
      await successor.next('the binding again', bindingOf(id))
      user.terminate()
      successor.terminate()
    })

    test('a parked trigger that is unregistered, or whose worker is gone, comes back to nobody', async () => {
      const [user, leaver] = await rawPair(engine().url)
      const type = unique('trig::type')
      const [kept, dropped, orphan] = [unique('kept'), unique('dropped'), unique('orphan')]
      const binding = { type: 'registertrigger', trigger_type: type, function_id: 'any::f', config: {} }
      user.send({ ...binding, id: kept })
      user.send({ ...binding, id: dropped })
      user.send({ type: 'unregistertrigger', id: dropped })
      await user.settled()
      await leaver.call('engine::workers::register', { name: 'leaver', runtime: 'test', pid: 1 })
      leaver.send({ ...binding, id: orphan })
      await leaver.settled()
      expect(await workerIds(user)).toContain(leaver.id)
      leaver.terminate()
      await until('the worker to be gone', async () => !(await workerIds(user)).includes(leaver.id))
      const provider = await RawWorker.connect(engine().url)
      provider.send({ type: 'registertriggertype', id: type, description: 'late' })
      await provider.next('the binding that is left', bindingOf(kept))
      await provider.settled()
      expect(
        provider.frames.filter((frame) => frame.type === 'registertrigger').map((frame) => frame.id),
      ).toEqual([kept])
      user.terminate()
      provider.terminate()
    })

    test('when a worker goes the provider is told that its bindings end', async () => {
      const [user, provider] = await rawPair(engine().url)
      const [id, type] = [unique('trigger'), unique('trig::type')]
      provider.send({ type: 'registertriggertype', id: type, description: 'for a test' })
      await provider.settled()
      user.send({ type: 'registertrigger', id, trigger_type: type, function_id: 'any::f', config: {} })
      await provider.next('the binding', bindingOf(id))
      user.terminate()
      await provider.next('its end', (frame) => frame.type === 'unregistertrigger' && frame.id === id)
      provider.terminate()
    })

    test('a provider that refuses a binding: its worker is told, and the binding waits for another provider', async () => {
      const [user, provider] = await rawPair(engine().url)
      const [id, type] = [unique('trigger'), unique('trig::type')]
      provider.send({ type: 'registertriggertype', id: type, description: 'picky' })
      await provider.settled()
      user.send({ type: 'registertrigger', id, trigger_type: type, function_id: 'any::f', config: {} })
      await provider.next('the binding', bindingOf(id))
      const error = { code: 'bad_config', message: 'every is missing' }
      provider.send({
        type: 'triggerregistrationresult',
        id,
        trigger_type: type,
        function_id: 'any::f',
        error,
      })
      const told = await user.next('the refusal', (frame) => frame.type === 'triggerregistrationresult')
      expect(told).toEqual({
        type: 'triggerregistrationresult',
        id,
        trigger_type: type,
        function_id: 'any::f',
        error,
      })
      expect(await liveTriggers(user, type)).toEqual([])
      const other = await RawWorker.connect(engine().url)
      other.send({ type: 'registertriggertype', id: type, description: 'lenient' })
      await other.next('the binding', bindingOf(id))
      for (const worker of [user, provider, other]) worker.terminate()
    })

    test('nobody but the provider can refuse a binding', async () => {
      const [user, provider] = await rawPair(engine().url)
      const stranger = await RawWorker.connect(engine().url)
      const [id, type] = [unique('trigger'), unique('trig::type')]
      provider.send({ type: 'registertriggertype', id: type, description: 'for a test' })
      await provider.settled()
      user.send({ type: 'registertrigger', id, trigger_type: type, function_id: 'any::f', config: {} })
      await provider.next('the binding', bindingOf(id))
      const error = { code: 'forged', message: 'forged' }
      stranger.send({
        type: 'triggerregistrationresult',
        id,
        trigger_type: type,
        function_id: 'any::f',
        error,
      })
      await stranger.settled()
      expect(await liveTriggers(user, type)).toEqual([id])
      for (const worker of [user, provider, stranger]) worker.terminate()
    })

    test('engine::register_trigger binds until it is unregistered, also when its caller has left', async () => {
      const [caller, provider] = await Promise.all([sdkWorker(engine().url), RawWorker.connect(engine().url)])
      const type = unique('trig::type')
      provider.send({ type: 'registertriggertype', id: type, description: 'for a test' })
      await provider.settled()
      const bound = caller.trigger<unknown, { id: string }>({
        function_id: 'engine::register_trigger',
        payload: { trigger_type: type, function_id: 'any::f', config: { n: 1 }, metadata: { m: 1 } },
      })
      const frame = await provider.next('the binding', (candidate) => candidate.trigger_type === type)
      expect(frame).toMatchObject({ function_id: 'any::f', config: { n: 1 }, metadata: { m: 1 } })
      provider.send({
        type: 'triggerregistrationresult',
        id: frame.id,
        trigger_type: type,
        function_id: 'any::f',
      })
      const { id } = await bound
      expect(id).toBe(frame.id)
      await caller.shutdown()
      const other = await sdkWorker(engine().url)
      const unregister = () => other.trigger({ function_id: 'engine::unregister_trigger', payload: { id } })
      expect(await unregister()).toEqual({ removed: true })
      await provider.next(
        'its end',
        (candidate) => candidate.type === 'unregistertrigger' && candidate.id === id,
      )
      expect(await unregister()).toEqual({ removed: false })
      provider.terminate()
    })

    test('engine::register_trigger fails with what the provider says', async () => {
      const [caller, provider] = await Promise.all([sdkWorker(engine().url), RawWorker.connect(engine().url)])
      const type = unique('trig::type')
      provider.send({ type: 'registertriggertype', id: type, description: 'picky' })
      await provider.settled()
      const failure = failureOf(
        caller.trigger({
          function_id: 'engine::register_trigger',
          payload: { trigger_type: type, function_id: 'any::f', config: {} },
        }),
      )
      const { id } = await provider.next('the binding', (frame) => frame.trigger_type === type)
      const error = { code: 'bad_config', message: 'every is missing' }
      provider.send({
        type: 'triggerregistrationresult',
        id,
        trigger_type: type,
        function_id: 'any::f',
        error,
      })
      expect((await failure)?.code).toBe('trigger_registration_failed')
      expect((await failure)?.message).toContain('bad_config: every is missing')
      provider.terminate()
    })

    test('a provider fires by calling the function of the binding', async () => {
      const [provider, user] = await Promise.all([sdkWorker(engine().url), sdkWorker(engine().url)])
      const [type, id] = [unique('trig::type'), unique('trig::handler')]
      const bound: string[] = []
      provider.registerTriggerType(
        { id: type, description: 'for a test' },
        {
          registerTrigger: async (trigger) => void bound.push(trigger.function_id),
          unregisterTrigger: async () => {},
        },
      )
      user.registerFunction(id, async (input: { tick: number }) => input.tick)
      user.registerTrigger({ type, function_id: id, config: {} })
      await functionKnown(provider, id)
      await until('the binding', () => bound.length === 1)
      expect(await provider.trigger({ function_id: bound[0] ?? '', payload: { tick: 3 } })).toBe(3)
    })
  })
}

async function rawPair(url: string) {
  return Promise.all([RawWorker.connect(url), RawWorker.connect(url)])
}

function bindingOf(id: string): (frame: Frame) => boolean {
  return (frame) => frame.type === 'registertrigger' && frame.id === id
}

async function liveTriggers(worker: RawWorker, type: string): Promise<string[]> {
  const answer = await worker.call('engine::registered-triggers::list', { trigger_type: type })
  return (answer.result as { registered_triggers: { id: string }[] }).registered_triggers.map((row) => row.id)
}

/** The ids of the workers that have introduced themselves with a process id. */
async function workerIds(worker: RawWorker): Promise<string[]> {
  const answer = await worker.call('engine::workers::list', {})
  return (answer.result as { workers: { id: string }[] }).workers.map((row) => row.id)
}
