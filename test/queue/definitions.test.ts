import { expect, test } from 'vitest'
import { DONE, FAILED, queueHarness } from '../support/queue-harness.ts'
import { eventually, until } from '../support/until.ts'

const FIFO = { type: 'fifo', message_group_field: 'group' }
const SUBSCRIPTION = { topic: 'orders', functionId: 'mail::send', conditionFunctionId: undefined }

test('a queue that was redefined while it holds messages does not keep the worker from starting', async () => {
  const first = await queueHarness({ queues: { jobs: {} } })
  await first.queue.define('jobs', FIFO)
  await first.enqueue('a', { group: 1 })
  await first.enqueue('b', { group: 1 })
  await first.queue.stop(0)

  const second = await queueHarness({ queues: { jobs: {}, others: {} } }, first.folder)
  expect((await second.status())?.settings).toMatchObject(FIFO)
  expect((await second.status('others'))?.settings).toMatchObject({ type: 'standard' })
  second.start()
  await second.untilOpen('a')
  await second.answer('a')
  await second.untilOpen('b')
  await second.answer('b')
  await eventually(() => second.open.length === 0)
  await second.settled()
  await second.queue.stop(0)

  // What it waited for is gone: now it is as it was meant.
  const third = await queueHarness({ queues: { jobs: {} } }, first.folder)
  expect((await third.status())?.settings).toMatchObject({ type: 'standard' })
})

test('what is sent while a queue becomes fifo is in its group, before what is sent afterwards', async () => {
  const { queue, store, start, enqueue, untilOpen, answer, settled, openIds } = await queueHarness({
    queues: { jobs: {} },
  })
  start()
  const counts = store.counts.bind(store)
  let first: Promise<void> | undefined
  // The queue was found empty, and is not fifo yet.
  store.counts = async (name) => {
    const counted = await counts(name)
    first ??= enqueue('first', { group: 1 })
    return counted
  }
  await queue.define('jobs', FIFO)
  await first
  await enqueue('second', { group: 1 })
  await settled()
  expect(openIds()).toEqual(['first'])
  await answer('first')
  await untilOpen('second')
})

test('what is sent while a queue cannot become fifo is taken as before', async () => {
  const { queue, store, start, enqueue, untilOpen } = await queueHarness({ queues: { jobs: {} } })
  start()
  await enqueue('before')
  const counts = store.counts.bind(store)
  let during: Promise<void> | undefined
  store.counts = async (name) => {
    during ??= enqueue('during')
    return counts(name)
  }
  await expect(queue.define('jobs', FIFO)).rejects.toMatchObject({ code: 'CQRS_QUEUE_INVALID' })
  await during
  await untilOpen('before', 'during')
})

test('a change of other settings holds up nothing that is sent meanwhile', async () => {
  const { queue, store, start, enqueue, untilOpen } = await queueHarness({ queues: { jobs: {} } })
  start()
  const define = store.define.bind(store)
  const [begun, stored] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  store.define = async (...definition) => {
    begun.resolve()
    await stored.promise
    return define(...definition)
  }
  const changed = queue.define('jobs', { concurrency: 3 })
  await begun.promise
  await enqueue('meanwhile')
  await untilOpen('meanwhile')
  stored.resolve()
  await changed
})

test('a function that subscribes while its subscription is being ended gets what is published from then on', async () => {
  const { queue, store, start, open } = await queueHarness()
  start()
  const settings = await queue.define('settings', { concurrency: 1 })
  await queue.subscribe(SUBSCRIPTION, settings)
  for (let n = 0; n < 3; n += 1) await queue.publish('orders', { n })
  const ended = queue.unsubscribe('orders', 'mail::send')
  const again = queue.subscribe(SUBSCRIPTION, settings)
  expect(await ended).toBe(true)
  await again
  open.splice(0)
  expect(await queue.publish('orders', { last: true })).toBe(1)
  await eventually(() => open.length === 1)
  open[0]?.answer(DONE)
  await eventually(() => open.length === 0)
  expect((await store.queues()).map(({ name }) => name)).toContain('orders::mail::send')
})

test('a subscription that could not be ended goes on, and can be ended then', async () => {
  const { queue, store, start, untilOpen, open } = await queueHarness()
  start()
  await queue.subscribe(SUBSCRIPTION, await queue.define('settings', { concurrency: 1 }))
  await queue.publish('orders', { n: 1 })
  await eventually(() => open.length === 1)
  const id = open[0]?.id ?? ''
  const remove = store.remove.bind(store)
  store.remove = () => Promise.reject(new Error('the disk is full'))
  await expect(queue.unsubscribe('orders', 'mail::send')).rejects.toThrow('the disk is full')
  store.remove = remove
  expect(await queue.publish('orders', { n: 2 })).toBe(1)
  // What was in flight comes again.
  await untilOpen(id, id)
  expect(await queue.unsubscribe('orders', 'mail::send')).toBe(true)
  expect(await queue.publish('orders', { n: 3 })).toBe(0)
})

test('whichever moment it is sent at, a message of a queue that becomes fifo is in its group', async () => {
  const names = Array.from({ length: 12 }, (_, ticks) => `jobs-${ticks}`)
  const queues = Object.fromEntries(names.map((name) => [name, {}]))
  const { queue, start, settled, openIds } = await queueHarness({ queues })
  start()
  const send = (name: string, id: string) =>
    queue.enqueue({ queue: name, id, functionId: 'work', data: { group: 1 } })
  const fifo: string[] = []
  for (const [ticks, name] of names.entries()) {
    const defined = queue.define(name, FIFO).then(
      () => fifo.push(name),
      () => undefined,
    )
    for (let tick = 0; tick < ticks; tick += 1) await undefined
    await Promise.all([send(name, `${name} first`), defined])
  }
  for (const name of fifo) await send(name, `${name} second`)
  await settled()
  expect(fifo).not.toEqual([])
  expect(openIds().filter((id) => id.endsWith('second'))).toEqual([])
})

test('subscriptions whose queues would have one name do not take or end each other’s', async () => {
  const { queue, start, open } = await queueHarness()
  start()
  const settings = await queue.define('settings', {})
  await queue.subscribe({ ...SUBSCRIPTION, topic: 'orders', functionId: 'mail::send' }, settings)
  const other = { ...SUBSCRIPTION, topic: 'orders::mail', functionId: 'send' }
  await expect(queue.subscribe(other, settings)).rejects.toMatchObject({ code: 'CQRS_QUEUE_INVALID' })
  expect(await queue.unsubscribe('orders::mail', 'send')).toBe(false)
  expect(await queue.publish('orders', {})).toBe(1)
  await eventually(() => open.length === 1)
  expect(open[0]?.functionId).toBe('mail::send')
})

test('a subscription that begins while the one before is ended and paused does what it is listed as', async () => {
  const { queue, store, start, open, settled } = await queueHarness()
  start()
  const settings = await queue.define('settings', {})
  await queue.subscribe(SUBSCRIPTION, settings)
  const { setPaused } = store
  const gate = Promise.withResolvers<void>()
  store.setPaused = async (...input) => {
    await gate.promise
    return setPaused.apply(store, input)
  }
  const paused = queue.setPaused('orders', true)
  await queue.unsubscribe('orders', 'mail::send')
  await queue.subscribe(SUBSCRIPTION, settings)
  gate.resolve()
  await paused
  await queue.publish('orders', {})
  await settled()
  const [listed] = await queue.status('orders')
  expect(open.length).toBe(listed?.paused ? 0 : 1)
})

test('a list of the letters of a topic goes on with all that follow, though a subscription has been ended', async () => {
  const { queue, start, automatic } = await queueHarness()
  start()
  automatic.answer = () => FAILED
  const settings = await queue.define('settings', { max_retries: 1 })
  for (const functionId of ['a::note', 'b::note']) {
    await queue.subscribe({ ...SUBSCRIPTION, functionId }, settings)
  }
  for (let n = 0; n < 3; n += 1) await queue.publish('orders', { n })
  await until('all letters', async () => (await queue.deadLetters('orders', 0, 10)).length === 6)
  const after = (await queue.deadLetters('orders', 0, 2)).at(-1)
  expect(after).toMatchObject({ queue: 'orders::a::note', seq: 2 })
  await queue.unsubscribe('orders', 'a::note')
  const rest = await queue.deadLetters('orders', 0, 10, after)
  expect(rest.map(({ seq }) => seq)).toEqual([1, 2, 3])
  // What comes before the letter that the list goes on after is not listed again.
  expect(await queue.deadLetters('orders', 0, 10, { seq: 0, queue: 'orders::c::note' })).toEqual([])
})

test('letters of a subscription that began anew while a redrive of its topic ran are delivered', async () => {
  const { queue, store, start, automatic, delivered } = await queueHarness()
  start()
  automatic.answer = () => FAILED
  const settings = await queue.define('settings', { max_retries: 1 })
  const [first, second] = ['a::note', 'b::note'].map((functionId) => ({ ...SUBSCRIPTION, functionId }))
  for (const each of [first, second]) await queue.subscribe(each as typeof SUBSCRIPTION, settings)
  const { redrive } = store
  const gate = Promise.withResolvers<void>()
  store.redrive = async (...input) => {
    await gate.promise
    return redrive.apply(store, input)
  }
  const redriven = queue.redrive('orders')
  await queue.unsubscribe('orders', 'b::note')
  await queue.subscribe(second as typeof SUBSCRIPTION, settings)
  await queue.publish('orders', {})
  await until('it is a letter', async () => (await queue.deadLetters('orders::b::note', 0, 1)).length === 1)
  const [letter] = await queue.deadLetters('orders::b::note', 0, 1)
  automatic.answer = () => DONE
  delivered.splice(0)
  gate.resolve()
  await redriven
  await eventually(() => delivered.includes(letter?.id ?? ''))
})
