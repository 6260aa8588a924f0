import { expect, test } from 'vitest'
import { MemoryPool } from '../../src/queue/memory-pool.ts'
import { DONE, FAILED, MISSING, queueHarness } from '../support/queue-harness.ts'
import { eventually, until } from '../support/until.ts'

const fifo = { type: 'fifo', message_group_field: 'group' }
const QUEUES = Array.from({ length: 20 }, (_, index) => `q${index}`)
const numbered = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${name}-${index}`)

const named = (settings: object) => Object.fromEntries(QUEUES.map((name) => [name, settings]))

/** What all queues have in memory. */
async function held({ queue }: Awaited<ReturnType<typeof queueHarness>>) {
  const memory = (await queue.list()).map((one) => one.memory)
  const sum = (what: 'held' | 'tracked') => memory.reduce((total, one) => total + one[what], 0)
  return { held: sum('held'), tracked: sum('tracked') }
}

test('many full queues together hold no more than twice the limit, each one progresses, and all is delivered', async () => {
  const harness = await queueHarness({
    queues: named({ concurrency: 2, timeout_ms: 60_000 }),
    memory: { messages: 100 },
  })
  const ids = QUEUES.map((name) => numbered(name, 100))
  await Promise.all(
    QUEUES.map((queue, n) => Promise.all((ids[n] ?? []).map((id) => harness.enqueue(id, {}, { queue })))),
  )
  harness.start()
  await eventually(() => harness.open.length === 2 * QUEUES.length)
  await harness.settled()
  const before = await held(harness)
  expect(before.held).toBeLessThanOrEqual(200)
  harness.automatic.answer = () => DONE
  for (const delivery of [...harness.open]) delivery.answer(DONE)
  await eventually(() => harness.delivered.length === 2_000)
  await harness.settled()
  expect(harness.delivered.toSorted()).toEqual(ids.flat().toSorted())
  expect(await held(harness)).toEqual({ held: 0, tracked: 0 })
})

test('queues that are paused and full do not keep another one from its messages', async () => {
  const harness = await queueHarness({ queues: named({ concurrency: 1 }), memory: { bytes: 10_000 } })
  harness.automatic.answer = () => DONE
  harness.start()
  const [free = '', ...others] = QUEUES
  for (const queue of others) await harness.queue.setPaused(queue, true)
  const data = { text: 'x'.repeat(1_000) }
  for (const queue of others) for (const id of numbered(queue, 5)) await harness.enqueue(id, data, { queue })
  expect((await held(harness)).held).toBeLessThanOrEqual(10 + others.length)
  const ids = numbered(free, 50)
  for (const id of ids) await harness.enqueue(id, data, { queue: free })
  await eventually(() => harness.delivered.length === 50)
  expect(harness.delivered).toEqual(ids)
})

test('what waits behind stuck groups of many queues is bounded for all of them together', async () => {
  const harness = await queueHarness({
    queues: named({ ...fifo, backoff_ms: 1_000, max_retries: 5 }),
    memory: { tracked: 200 },
  })
  for (const queue of QUEUES) {
    await Promise.all(numbered(queue, 100).map((id) => harness.enqueue(id, { group: 'stuck' }, { queue })))
  }
  harness.automatic.answer = () => FAILED
  harness.start()
  await eventually(() => harness.delivered.length === QUEUES.length)
  await harness.settled()
  expect((await held(harness)).tracked).toBeLessThanOrEqual(2 * 200 + QUEUES.length)
  harness.automatic.answer = () => DONE
  harness.clock.advance(1_000)
  await eventually(() => harness.delivered.length === 100 * QUEUES.length + QUEUES.length)
})

test('messages of a function that is back are loaded as far as there is room, and all are delivered', async () => {
  const harness = await queueHarness({
    queues: { jobs: { concurrency: 2 } },
    limits: { messages: 20, bytes: 1_000, tracked: 1_000 },
  })
  harness.automatic.answer = () => MISSING
  harness.start()
  const ids = numbered('jobs', 100)
  for (const id of ids) await harness.enqueue(id, { text: 'x'.repeat(200) })
  await until('all wait', async () => (await held(harness)).tracked === 100)
  harness.automatic.answer = undefined
  harness.queue.functionsAvailable(['job::run'])
  await eventually(() => harness.open.length === 2)
  for (let round = 0; round < 10; round += 1) await harness.settled()
  expect((await held(harness)).held).toBeLessThanOrEqual(6)
  harness.automatic.answer = () => DONE
  for (const { answer } of [...harness.open]) answer(DONE)
  await until('all are delivered', async () => (await harness.status())?.depth === 0)
})

test('a queue to which others left no room reads on as soon as there is some, even during its own deliveries', async () => {
  const harness = await queueHarness({
    queues: { jobs: { concurrency: 4 }, full: {} },
    memory: { messages: 6 },
  })
  harness.start()
  await harness.queue.setPaused('full', true)
  for (const id of numbered('full', 6)) await harness.enqueue(id, {}, { queue: 'full' })
  for (const id of numbered('jobs', 20)) await harness.enqueue(id)
  await harness.settled()
  expect(harness.openIds()).toEqual(numbered('jobs', 2))
  await harness.queue.purge('full')
  await harness.untilOpen(...numbered('jobs', 4))
})

test('a queue that leaves gives its share to the others', () => {
  const pool = new MemoryPool({ messages: 10 })
  const limits = { messages: 8, bytes: 1, tracked: 1 }
  const [one, other] = [pool.join(limits), pool.join(limits)]
  one.add('messages', 8)
  expect(other.most('messages'), 'an equal part, though only two are left').toBe(5)
  one.leave()
  one.add('messages', -8)
  expect(pool.used.messages).toBe(0)
  expect(other.most('messages')).toBe(8)
})
