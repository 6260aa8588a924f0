import { pino } from 'pino'
import { expect, test } from 'vitest'
import { DONE, FAILED, MISSING, queueHarness, STOPPED } from '../support/queue-harness.ts'
import { eventually } from '../support/until.ts'

const fifo = { type: 'fifo', message_group_field: 'sku' }
const depth = async (harness: Awaited<ReturnType<typeof queueHarness>>) => (await harness.status())?.depth

test('a standard queue delivers up to its concurrency at a time and removes what succeeded', async () => {
  const harness = await queueHarness({ queues: { jobs: { concurrency: 2 } } })
  harness.start()
  await Promise.all(['a', 'b', 'c'].map((id) => harness.enqueue(id)))
  await harness.untilOpen('a', 'b')
  await harness.answer('a')
  await harness.untilOpen('b', 'c')
  await harness.answer('b')
  await harness.answer('c')
  await harness.settled()
  expect(await depth(harness)).toBe(0)
})

test('messages that were stored before the start are delivered, in order', async () => {
  const harness = await queueHarness({ queues: { jobs: { concurrency: 1 } } })
  harness.automatic.answer = () => DONE
  for (const id of ['a', 'b', 'c']) await harness.enqueue(id)
  harness.start()
  await eventually(() => harness.delivered.length === 3)
  expect(harness.delivered).toEqual(['a', 'b', 'c'])
})

test('in a fifo queue a group has one message in flight, in order, while other groups go on', async () => {
  const harness = await queueHarness({ queues: { jobs: fifo } })
  harness.start()
  for (const [id, sku] of [
    ['a1', 'a'],
    ['a2', 'a'],
    ['b1', 'b'],
    ['a3', 'a'],
    ['b2', 'b'],
  ] as const) {
    await harness.enqueue(id, { sku })
  }
  await harness.untilOpen('a1', 'b1')
  await harness.answer('b1')
  await harness.untilOpen('a1', 'b2')
  await harness.answer('a1')
  await harness.untilOpen('a2', 'b2')
  await harness.answer('a2')
  await harness.untilOpen('a3', 'b2')
})

test('a retry is never overtaken within its group, and other groups do not wait for it', async () => {
  const harness = await queueHarness({ queues: { jobs: { ...fifo, backoff_ms: 1_000 } } })
  harness.start()
  for (const id of ['a1', 'a2', 'b1', 'b2']) await harness.enqueue(id, { sku: id[0] })
  await harness.answer('a1', FAILED)
  await harness.answer('b1')
  await harness.answer('b2')
  await harness.settled()
  expect(harness.delivered).toEqual(['a1', 'b1', 'b2'])
  harness.clock.advance(1_000)
  await harness.answer('a1')
  await harness.answer('a2')
  expect(harness.delivered).toEqual(['a1', 'b1', 'b2', 'a1', 'a2'])
})

test('the wait doubles with each failure, up to its cap, and jitter takes off at most half', async () => {
  const settings = { backoff_ms: 1_000, max_backoff_ms: 3_000, max_retries: 10 }
  const harness = await queueHarness({ queues: { jobs: settings }, random: () => 0 })
  harness.start()
  await harness.enqueue('a')
  for (const wait of [500, 1_000, 1_500, 1_500]) {
    await harness.answer('a', FAILED)
    await harness.settled()
    harness.clock.advance(wait - 1)
    await harness.settled()
    expect(harness.openIds()).toEqual([])
    harness.clock.advance(1)
    await harness.untilOpen('a')
  }
})

test('after max_retries deliveries a message is a dead letter with its errors, and its group goes on', async () => {
  const harness = await queueHarness({ queues: { jobs: { ...fifo, max_retries: 2, backoff_ms: 10 } } })
  harness.start()
  await harness.enqueue('a1', { sku: 'a' })
  await harness.enqueue('a2', { sku: 'a' })
  await harness.answer('a1', { outcome: 'failed', error: 'first' })
  await harness.settled()
  harness.clock.advance(10)
  await harness.answer('a1', { outcome: 'failed', error: 'second' })
  await harness.answer('a2')
  await harness.settled()
  expect(await harness.status()).toMatchObject({ depth: 0, dead: 1 })
  const [letter] = await harness.queue.deadLetters('jobs', 0, 10)
  expect(letter).toMatchObject({ id: 'a1', attempts: 2, error: 'second' })
  expect(letter?.history.map(({ error }) => error)).toEqual(['first', 'second'])
})

test('attempts survive a restart of the queue', async () => {
  const settings = { jobs: { max_retries: 2, backoff_ms: 1_000 } }
  const first = await queueHarness({ queues: settings })
  first.start()
  await first.enqueue('a')
  await first.answer('a', FAILED)
  await first.settled()
  await first.queue.stop(0)
  const second = await queueHarness({ queues: settings }, first.folder)
  second.start()
  await eventually(() => true)
  second.clock.advance(1_000)
  await second.answer('a', FAILED)
  await second.settled()
  expect(await second.status()).toMatchObject({ depth: 0, dead: 1 })
})

test('a message whose function is missing burns no attempt and is delivered when the function comes', async () => {
  const harness = await queueHarness({ queues: { jobs: { max_retries: 1 } } })
  harness.start()
  await harness.enqueue('a')
  await harness.answer('a', MISSING)
  await harness.enqueue('b')
  await harness.enqueue('other', {}, { functionId: 'other::run' })
  await harness.untilOpen('other')
  expect(harness.delivered).toEqual(['a', 'other'])
  expect((await harness.status())?.missing).toEqual(['job::run'])
  harness.queue.functionsAvailable(['job::run'])
  await harness.untilOpen('other', 'a', 'b')
  expect(harness.open.map(({ attempts }) => attempts)).toEqual([0, 0, 0])
})

test('while nothing is known of a missing function, only one message is tried from time to time', async () => {
  const harness = await queueHarness({ probeMs: 5_000, queues: { jobs: {} } })
  harness.automatic.answer = () => MISSING
  harness.start()
  await harness.enqueue('a')
  await eventually(() => harness.delivered.length === 1)
  await harness.settled()
  for (const id of ['b', 'c', 'd']) await harness.enqueue(id)
  await harness.settled()
  expect(harness.delivered).toEqual(['a'])
  harness.clock.advance(5_000)
  await eventually(() => harness.delivered.length === 2)
  await harness.settled()
  expect(harness.delivered).toHaveLength(2)
  harness.automatic.answer = () => DONE
  harness.clock.advance(5_000)
  await eventually(() => harness.delivered.length === 6)
})

test('a function that stays missing is named in the log once, and one that is soon back is not', async () => {
  const said: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => said.push(line) })
  const harness = await queueHarness({ log, queues: { jobs: {} } })
  const { clock, automatic, delivered } = harness
  automatic.answer = () => MISSING
  harness.start()
  await harness.enqueue('a')
  await eventually(() => delivered.length === 1)
  for (let second = 1; second <= 30; second++) {
    await harness.settled()
    clock.advance(1_000)
    if (second === 9) expect(said).toEqual([])
  }
  expect(said).toEqual([expect.stringMatching(/"queue":"jobs","function":"job::run".*no worker offers/)])

  const before = delivered.length
  automatic.answer = () => DONE
  harness.queue.functionsAvailable(['job::run'])
  await eventually(() => delivered.length > before)
  await harness.settled()
  automatic.answer = () => MISSING
  await harness.enqueue('b')
  await harness.settled()
  clock.advance(5_000)
  harness.queue.functionsAvailable(['job::run'])
  await harness.settled()
  clock.advance(6_000)
  expect(said).toHaveLength(1)
})

test('a function that is slow to answer the probe counts as back', async () => {
  const harness = await queueHarness({ probeMs: 5_000, queues: { jobs: {} } })
  harness.start()
  await harness.enqueue('a')
  await harness.answer('a', MISSING)
  await harness.enqueue('b')
  await harness.settled()
  harness.clock.advance(5_000)
  await harness.untilOpen('a')
  harness.clock.advance(500)
  await harness.untilOpen('a', 'b')
})

test('a message whose worker died is delivered again and burns no attempt, but ends after max_stops', async () => {
  const settings = { max_retries: 1, max_stops: 3, backoff_ms: 100 }
  const harness = await queueHarness({ queues: { jobs: settings } })
  harness.start()
  await harness.enqueue('a')
  await harness.answer('a', STOPPED)
  await harness.answer('a', MISSING)
  harness.queue.functionsAvailable(['job::run'])
  await harness.answer('a', STOPPED)
  await harness.settled()
  expect(harness.openIds()).toEqual([])
  harness.clock.advance(100)
  await harness.untilOpen('a')
  expect(harness.open[0]?.attempts).toBe(0)
  await harness.answer('a', STOPPED)
  await harness.settled()
  const [letter] = await harness.queue.deadLetters('jobs', 0, 1)
  expect(letter).toMatchObject({ attempts: 0, stops: 3, error: 'the worker died' })
})

test('a paused queue accepts and delivers nothing, also over a restart; then it goes on', async () => {
  const first = await queueHarness({ queues: { jobs: {} } })
  first.start()
  await first.queue.setPaused('jobs', true)
  await first.enqueue('a')
  await first.settled()
  expect(first.delivered).toEqual([])
  await first.queue.stop(0)
  const second = await queueHarness({ queues: { jobs: {} } }, first.folder)
  second.start()
  await second.enqueue('b')
  await second.settled()
  expect(second.delivered).toEqual([])
  await second.queue.setPaused('jobs', false)
  await second.untilOpen('a', 'b')
})

test('after a reconnect, what was in flight is delivered again and the old answers do not count', async () => {
  const harness = await queueHarness({ queues: { jobs: { ...fifo, max_retries: 1 } } })
  harness.start()
  await harness.enqueue('a1', { sku: 'a' })
  await harness.enqueue('a2', { sku: 'a' })
  await harness.untilOpen('a1')
  const [old] = harness.open
  harness.queue.reconnected()
  await eventually(() => harness.open.length === 2)
  old?.answer(FAILED)
  await harness.settled()
  expect(await harness.status()).toMatchObject({ depth: 2, dead: 0, inFlight: 1 })
  await harness.answer('a1')
  await harness.answer('a2')
  expect(harness.delivered).toEqual(['a1', 'a1', 'a2'])
})

test('stopping takes nothing new, waits for what is in flight, and stores how it ended', async () => {
  const harness = await queueHarness({ queues: { jobs: { concurrency: 1 } } })
  harness.start()
  await harness.enqueue('a')
  await harness.enqueue('b')
  await harness.untilOpen('a')
  const stopped = harness.queue.stop(10_000)
  await harness.answer('a')
  expect(await stopped).toBe(0)
  expect(harness.delivered).toEqual(['a'])
  const next = await queueHarness({ queues: { jobs: {} } }, harness.folder)
  next.start()
  await next.untilOpen('b')
})

test('what does not finish within the deadline is delivered again by the next process, without counting as an attempt', async () => {
  const harness = await queueHarness({ queues: { jobs: { max_retries: 1 } } })
  harness.start()
  await harness.enqueue('a')
  await harness.untilOpen('a')
  const stopped = harness.queue.stop(10_000)
  harness.clock.advance(10_000)
  expect(await stopped).toBe(1)
  const next = await queueHarness({ queues: { jobs: {} } }, harness.folder)
  next.start()
  await next.untilOpen('a')
  expect(next.open[0]?.attempts).toBe(0)
})

test('a wall clock that is set back neither delays a retry nor stalls one after a restart', async () => {
  const settings = { jobs: { backoff_ms: 1_000, max_backoff_ms: 2_000, max_retries: 10 } }
  const first = await queueHarness({ queues: settings })
  first.start()
  await first.enqueue('a')
  await first.answer('a', FAILED)
  await first.settled()
  first.clock.wallOffset -= 3_600_000
  first.clock.advance(1_000)
  await first.answer('a', FAILED)
  await first.settled()
  await first.queue.stop(0)
  const second = await queueHarness({ queues: settings }, first.folder)
  second.clock.wallOffset -= 7_200_000
  second.start()
  await second.settled()
  expect(second.openIds()).toEqual([])
  second.clock.advance(2_000)
  await second.untilOpen('a')
})

test('a wall clock that jumps ahead does not bring retries early', async () => {
  const harness = await queueHarness({ queues: { jobs: { backoff_ms: 1_000 } } })
  harness.start()
  await harness.enqueue('a')
  await harness.answer('a', FAILED)
  await harness.settled()
  harness.clock.wallOffset += 86_400_000
  harness.clock.advance(999)
  await harness.settled()
  expect(harness.openIds()).toEqual([])
  harness.clock.advance(1)
  await harness.untilOpen('a')
})

test('new settings apply from the next delivery on', async () => {
  const harness = await queueHarness({ queues: { jobs: { concurrency: 1 } } })
  harness.start()
  await harness.enqueue('a')
  await harness.enqueue('b')
  await harness.untilOpen('a')
  await harness.queue.define('jobs', { concurrency: 2, timeout_ms: 7 })
  await harness.untilOpen('a', 'b')
  expect(harness.open.find(({ id }) => id === 'b')?.timeoutMs).toBe(7)
})

test('letters that are redriven while deliveries begin are delivered, before newer messages of their group', async () => {
  const options = { queues: { jobs: { type: 'fifo', message_group_field: 'group', max_retries: 1 } } }
  const first = await queueHarness(options)
  first.start()
  await first.enqueue('letter', { group: 1 })
  await first.answer('letter', FAILED)
  await first.settled()
  await first.queue.stop(0)

  const { queue, store, start, enqueue, answer, untilOpen, settled, openIds } = await queueHarness(
    options,
    first.folder,
  )
  const { redrive } = store
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  store.redrive = async (...chunk) => {
    begun.resolve()
    await gate.promise
    return redrive.apply(store, chunk)
  }
  const redriven = queue.redrive('jobs')
  await begun.promise
  start()
  await enqueue('new', { group: 1 })
  await settled()
  expect(openIds(), 'the older one is still to come').toEqual([])
  gate.resolve()
  expect(await redriven).toBe(1)
  await untilOpen('letter')
  await answer('letter')
  await untilOpen('new')
})
