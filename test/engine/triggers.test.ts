import { expect, test } from 'vitest'
import type { Frame } from '../support/raw-worker.ts'
import { until } from '../support/until.ts'
import { engineForTest, workerForTest } from './start.ts'

// What test/conformance/suites/triggers.ts says of both engines is not repeated here.

const BIND = { trigger_type: 'custom', function_id: 'any::f', config: {} }
const isBinding = (frame: Frame) => frame.type === 'registertrigger'

test('a binding whose provider dies while it is being asked goes to the next provider', async () => {
  const engine = await engineForTest()
  const workers = [workerForTest(engine), workerForTest(engine), workerForTest(engine)] as const
  const [caller, provider, successor] = await Promise.all(workers)
  provider.send({ type: 'registertriggertype', id: 'custom', description: 'mortal' })
  await provider.settled()
  const bound = caller.call('engine::register_trigger', BIND)
  await provider.next('the binding', isBinding)
  provider.terminate()
  const { id } = (await bound).result as { id: string }
  successor.send({ type: 'registertriggertype', id: 'custom', description: 'next' })
  expect((await successor.next('the binding', isBinding)).id).toBe(id)
})

test('a binding whose provider is replaced while it is being asked ends with the one that serves now', async () => {
  const engine = await engineForTest()
  const workers = [workerForTest(engine), workerForTest(engine), workerForTest(engine)] as const
  const [caller, provider, successor] = await Promise.all(workers)
  provider.send({ type: 'registertriggertype', id: 'custom', description: 'slow' })
  await provider.settled()
  const bound = caller.call('engine::register_trigger', BIND)
  const { id } = await provider.next('the binding', isBinding)
  successor.send({ type: 'registertriggertype', id: 'custom', description: 'quick' })
  await successor.settled()
  provider.send({ type: 'triggerregistrationresult', id, trigger_type: 'custom', function_id: 'any::f' })
  expect((await bound).result).toEqual({ id })
  expect((await successor.next('the binding', isBinding)).id).toBe(id)
})

test('a provider that never answers counts as having accepted', async () => {
  const engine = await engineForTest({ limits: { triggerAckTimeoutMs: 50 } })
  const [caller, provider] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  provider.send({ type: 'registertriggertype', id: 'custom', description: 'silent' })
  await provider.settled()
  const { id } = (await caller.call('engine::register_trigger', BIND)).result as { id: string }
  const list = (await caller.call('engine::registered-triggers::list', {})).result
  expect(list).toMatchObject({ registered_triggers: [{ id }] })
})

test('a trigger that is registered anew for something else no longer fires for what it was', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  const heard: unknown[] = []
  await worker.offer('hears::f', (data) => heard.push(data))
  const bind = (trigger_type: string, config: object) =>
    worker.send({ type: 'registertrigger', id: 'one', trigger_type, function_id: 'hears::f', config })
  bind('subscribe', { topic: 'old' })
  bind('subscribe', { topic: 'new' })
  bind('state', { scope: 'stock' })
  bind('http', { api_path: '/hears' })
  // Nobody provides this one.
  bind('nobody', {})
  for (const topic of ['old', 'new']) await worker.call('publish', { topic, data: topic })
  await worker.call('state::set', { scope: 'stock', key: 'mug', value: 1 })
  expect((await fetch(`${engine.httpUrl}/hears`)).status).toBe(404)
  bind('subscribe', { topic: 'last' })
  await worker.call('publish', { topic: 'last', data: 'last' })
  await worker.settled()
  expect(heard).toEqual(['last'])
})

test('many changes of functions make one event, and changes that undo each other none', async () => {
  const engine = await engineForTest({ limits: { functionsChangedDelayMs: 250 } })
  const [watcher, worker] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  const events: string[][] = []
  const trigger_type = 'engine::functions-available'
  watcher.send({ type: 'registertrigger', id: 'w', trigger_type, function_id: 'watch::f', config: {} })
  await watcher.offer('watch::f', (event) => {
    const { functions } = event as { functions: { function_id: string }[] }
    events.push(functions.map((row) => row.function_id).filter((id) => id.startsWith('many::')))
  })
  await until('the event of the watcher itself', () => events.length === 1)
  worker.send({ type: 'registerfunction', id: 'many::gone' })
  worker.send({ type: 'unregisterfunction', id: 'many::gone' })
  await worker.settled()
  for (let n = 0; n < 20; n += 1) worker.send({ type: 'registerfunction', id: `many::${n}` })
  await until('the event', () => events.length === 2)
  expect(events[1]).toHaveLength(20)
})
