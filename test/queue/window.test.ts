import { expect, test } from 'vitest'
import { DONE, FAILED, MISSING, queueHarness } from '../support/queue-harness.ts'
import { eventually } from '../support/until.ts'

const fifo = { type: 'fifo', message_group_field: 'group' }
const numbered = (count: number) => Array.from({ length: count }, (_, index) => `m${index}`)

test('a backlog of 50,000 passes through a window of 100, in order, each message once', async () => {
  const limits = { messages: 100 }
  const harness = await queueHarness({ limits, queues: { jobs: { concurrency: 1, timeout_ms: 60_000 } } })
  const ids = numbered(50_000)
  await harness.enqueueAll(ids, () => ({}))
  let most = 0
  harness.automatic.answer = () => DONE
  harness.start()
  while (harness.delivered.length < ids.length) {
    most = Math.max(most, (await harness.status())?.memory.tracked ?? 0)
  }
  await harness.settled()
  expect(harness.delivered).toEqual(ids)
  expect(most).toBeLessThanOrEqual(100)
  expect(await harness.status()).toMatchObject({ depth: 0, dead: 0 })
})

test('messages that arrive while a backlog is worked off come after it, none twice', async () => {
  const harness = await queueHarness({ limits: { messages: 20 }, queues: { jobs: { concurrency: 1 } } })
  const ids = numbered(2_000)
  await Promise.all(ids.slice(0, 1_000).map((id) => harness.enqueue(id)))
  harness.automatic.answer = () => DONE
  harness.start()
  for (const id of ids.slice(1_000)) await harness.enqueue(id)
  await eventually(() => harness.delivered.length >= ids.length)
  await harness.settled()
  expect(harness.delivered).toEqual(ids)
})

test('large messages fill the window by their size', async () => {
  const harness = await queueHarness({ limits: { bytes: 300_000 }, queues: { jobs: { concurrency: 1 } } })
  const data = { text: 'x'.repeat(100_000) }
  await Promise.all(numbered(30).map((id) => harness.enqueue(id, data)))
  harness.start()
  await harness.untilOpen('m0')
  await harness.settled()
  expect((await harness.status())?.memory.held).toBeLessThanOrEqual(4)
  harness.automatic.answer = () => DONE
  harness.open[0]?.answer(DONE)
  await eventually(() => harness.delivered.length === 30)
})

test('a group that is stuck with thousands of messages does not hold up the groups behind it', async () => {
  const harness = await queueHarness({
    limits: { messages: 50 },
    queues: { jobs: { ...fifo, backoff_ms: 1_000 } },
  })
  const stuck = numbered(5_000)
  await Promise.all(stuck.map((id) => harness.enqueue(id, { group: 'stuck' })))
  await harness.enqueue('free', { group: 'free' })
  harness.start()
  await harness.answer('m0', FAILED)
  await harness.answer('free')
  await harness.settled()
  expect(harness.delivered).toEqual(['m0', 'free'])
  expect((await harness.status())?.memory.held).toBeLessThanOrEqual(50)
  harness.automatic.answer = () => DONE
  harness.clock.advance(1_000)
  await eventually(() => harness.delivered.length === stuck.length + 2)
  expect(harness.delivered.slice(2)).toEqual(stuck)
})

test('what is tracked is bounded, and what lies beyond is delivered once there is room', async () => {
  const limits = { messages: 10, tracked: 100 }
  const harness = await queueHarness({ limits, queues: { jobs: { ...fifo, backoff_ms: 1_000 } } })
  const stuck = numbered(1_000)
  await Promise.all(stuck.map((id) => harness.enqueue(id, { group: 'stuck' })))
  await harness.enqueue('free', { group: 'free' })
  harness.start()
  await harness.answer('m0', FAILED)
  await harness.settled()
  expect((await harness.status())?.memory.tracked).toBeLessThanOrEqual(110)
  harness.automatic.answer = () => DONE
  harness.clock.advance(1_000)
  await eventually(() => harness.delivered.length === stuck.length + 2)
  expect(harness.delivered.filter((id) => id !== 'free')).toEqual(['m0', ...stuck])
})

test('messages of a missing function do not hold up those of others behind them', async () => {
  const harness = await queueHarness({ limits: { messages: 20 }, queues: { jobs: {} } })
  const waiting = numbered(500)
  await Promise.all(waiting.map((id) => harness.enqueue(id, {}, { functionId: 'missing::run' })))
  await harness.enqueue('free')
  harness.automatic.answer = ({ functionId }) => (functionId === 'missing::run' ? MISSING : DONE)
  harness.start()
  await eventually(() => harness.delivered.includes('free'))
  harness.automatic.answer = () => DONE
  harness.queue.functionsAvailable(['missing::run'])
  await eventually(() => new Set(harness.delivered).size === 501)
  await harness.settled()
  expect(await harness.status()).toMatchObject({ depth: 0, dead: 0 })
})

test('ten thousand groups run side by side, each in order', async () => {
  const harness = await queueHarness({ queues: { jobs: { ...fifo, concurrency: 100 } } })
  harness.automatic.answer = () => DONE
  harness.start()
  const ids = numbered(30_000)
  await harness.enqueueAll(ids, (index) => ({ group: index % 10_000 }))
  await eventually(() => harness.delivered.length === ids.length, 30_000)
  const seen = new Map<number, number>()
  for (const id of harness.delivered) {
    const index = Number(id.slice(1))
    const group = index % 10_000
    expect(seen.get(group) ?? -1).toBeLessThan(index)
    seen.set(group, index)
  }
})

test('redriven messages come back in their original order, ahead of newer ones of their group', async () => {
  const harness = await queueHarness({ queues: { jobs: { ...fifo, max_retries: 1 } } })
  harness.start()
  for (const id of ['a1', 'a2', 'a3', 'a4']) await harness.enqueue(id, { group: 'a' })
  await harness.answer('a1', FAILED)
  await harness.answer('a2', FAILED)
  await harness.untilOpen('a3')
  await harness.enqueue('b1', { group: 'b' })
  expect(await harness.queue.redrive('jobs')).toBe(2)
  for (const id of ['b1', 'a3', 'a1', 'a2', 'a4']) await harness.answer(id)
  expect(harness.delivered).toEqual(['a1', 'a2', 'a3', 'b1', 'a1', 'a2', 'a4'])
})

test('a retry does not go ahead of an older message that was redriven meanwhile', async () => {
  const harness = await queueHarness({ queues: { jobs: { ...fifo, max_retries: 2, backoff_ms: 100 } } })
  harness.start()
  await harness.enqueue('a1', { group: 'a' })
  await harness.enqueue('a2', { group: 'a' })
  await harness.answer('a1', FAILED)
  await harness.settled()
  harness.clock.advance(100)
  await harness.answer('a1', FAILED)
  await harness.untilOpen('a2')
  await harness.queue.redriveMessage('jobs', 'a1')
  await harness.answer('a2', FAILED)
  await harness.answer('a1')
  await harness.settled()
  harness.clock.advance(100)
  await harness.answer('a2')
  expect(harness.delivered).toEqual(['a1', 'a1', 'a2', 'a1', 'a2'])
})

test('a retry does not go ahead of it either if the queue is paused, so that the older message is not read first', async () => {
  const harness = await queueHarness({ queues: { jobs: { ...fifo, max_retries: 2, backoff_ms: 100 } } })
  harness.start()
  await harness.enqueue('a1', { group: 'a' })
  await harness.enqueue('a2', { group: 'a' })
  await harness.answer('a1', FAILED)
  await harness.settled()
  harness.clock.advance(100)
  await harness.answer('a1', FAILED)
  await harness.untilOpen('a2')
  await harness.queue.setPaused('jobs', true)
  await harness.queue.redriveMessage('jobs', 'a1')
  await harness.answer('a2', FAILED)
  await harness.settled()
  harness.clock.advance(100)
  await harness.queue.setPaused('jobs', false)
  await harness.answer('a1')
  await harness.answer('a2')
  expect(harness.delivered).toEqual(['a1', 'a1', 'a2', 'a1', 'a2'])
})

test('racing redrives deliver each dead letter once', async () => {
  const harness = await queueHarness({ queues: { jobs: { max_retries: 1 } } })
  harness.automatic.answer = () => FAILED
  harness.start()
  const ids = numbered(20)
  for (const id of ids) await harness.enqueue(id)
  await eventually(() => harness.delivered.length === 20)
  await harness.settled()
  harness.automatic.answer = () => DONE
  const redriven = await Promise.all([
    harness.queue.redrive('jobs'),
    harness.queue.redriveMessage('jobs', 'm3'),
    harness.queue.redrive('jobs'),
    harness.queue.redriveMessage('jobs', 'm3'),
  ])
  expect(redriven.reduce<number>((sum, count) => sum + Number(count), 0)).toBe(20)
  await eventually(() => harness.delivered.length === 40)
  await harness.settled()
  expect(harness.delivered.slice(20).toSorted()).toEqual(ids.toSorted())
  expect(await harness.status()).toMatchObject({ depth: 0, dead: 0 })
})

test('messages in memory are counted correctly even if a head could not be loaded while the window started over', async () => {
  const { queue, store, clock, start, enqueue, answer, untilOpen, openIds, settled, status } =
    await queueHarness({
      limits: { perGroup: 1 },
      storeRetryMs: 50,
      queues: { jobs: { ...fifo, concurrency: 2 } },
    })
  for (const id of ['a1', 'a2', 'a3']) await enqueue(id, { group: 'a' })
  start()
  await untilOpen('a1')
  const load = store.load.bind(store)
  const failing = Promise.withResolvers<never>()
  let asked = false
  store.load = () => {
    asked = true
    return failing.promise
  }
  // The next message is known by its number only, and has to be loaded.
  await answer('a1')
  await eventually(() => asked)
  store.load = load
  expect(await queue.purge('jobs')).toBe(2)
  failing.reject(new Error('the disk is slow'))
  await settled()
  await enqueue('b1', { group: 'a' })
  clock.advance(50)
  await untilOpen('b1')
  await settled()
  await enqueue('b2', { group: 'a' })
  await settled()
  expect(openIds()).toEqual(['b1'])
  await answer('b1')
  await untilOpen('b2')
  await answer('b2')
  await settled()
  expect((await status())?.memory).toEqual({ held: 0, tracked: 0 })
})
