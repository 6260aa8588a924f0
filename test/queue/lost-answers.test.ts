import { expect, onTestFinished, test } from 'vitest'
import { CqrsError } from '../../src/kernel/errors.ts'
import type { QueueStore } from '../../src/queue/contract.ts'
import { DurableQueue } from '../../src/queue/queue.ts'
import type { DeliveryOutcome } from '../../src/queue/runner.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { DONE, FAILED, queueHarness, silent } from '../support/queue-harness.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { eventually } from '../support/until.ts'

const UNAVAILABLE = { code: 'CQRS_STORE_UNAVAILABLE' }

const lost = () => new CqrsError('CQRS_STORE_UNAVAILABLE', 'The writer thread ended.')

type Method = keyof QueueStore

/** A store whose writer ends after it has carried out the next call of a method, before it answers. */
function losingAnswers(store: QueueStore) {
  const losing = new Set<Method>()
  /** Methods that fail before they do anything. */
  const broken = new Set<Method>()
  const proxy = new Proxy(store, {
    get: (target, name: Method) => {
      const method = Reflect.get(target, name) as (...input: unknown[]) => Promise<unknown>
      return async (...input: unknown[]) => {
        if (broken.has(name)) throw lost()
        const answer = await method.apply(target, input)
        if (losing.delete(name)) throw lost()
        return answer
      }
    },
  })
  return { store: proxy, losing, broken }
}

/** A queue on such a store. */
async function losingQueue(queues: Record<string, unknown>, folder = tempFolder()) {
  const { store, losing, broken } = losingAnswers(await openSqliteQueueStore({ folder }))
  const clock = new FakeClock()
  const queue = await DurableQueue.open({ store, log: silent, queues, clock })
  onTestFinished(() => queue.stop(0).then(() => undefined))
  const open: { id: string; answer(outcome: DeliveryOutcome): void }[] = []
  queue.start(
    ({ message: { id } }) =>
      new Promise((resolve) => {
        const delivery = {
          id,
          answer(outcome: DeliveryOutcome) {
            open.splice(open.indexOf(delivery), 1)
            resolve(outcome)
          },
        }
        open.push(delivery)
      }),
  )
  const enqueue = (id: string, data: object = {}) =>
    queue.enqueue({ queue: 'jobs', functionId: 'job::run', data, id })
  const openIds = () => open.map(({ id }) => id)
  const untilOpen = (...ids: string[]) => eventually(() => openIds().join() === ids.join())
  /** Everything that was asked of the store so far, and what came of it, has been done. */
  const settled = async () => {
    for (let round = 0; round < 3; round += 1) await store.counts('jobs')
  }
  return { queue, store, losing, broken, clock, open, openIds, untilOpen, enqueue, settled, folder }
}

test.each(['is sent again under its receipt', 'is never sent again'])(
  'a message that was stored though its answer was lost is delivered when it %s',
  async (how) => {
    const { losing, enqueue, untilOpen } = await losingQueue({ jobs: {} })
    await enqueue('first')
    await untilOpen('first')

    losing.add('enqueue')
    await expect(enqueue('lost')).rejects.toMatchObject(UNAVAILABLE)
    if (how === 'is sent again under its receipt') await enqueue('lost')
    await untilOpen('first', 'lost')
  },
)

test('while the store fails, the queue is read once in a while, not once for each message that is refused', async () => {
  const { queue, store, clock, start, enqueue, untilOpen } = await queueHarness({ queues: { jobs: {} } })
  start()
  await enqueue('before')
  await untilOpen('before')
  const { enqueue: stores, read } = store
  const full = async () => {
    throw new CqrsError('CQRS_STORE_FULL', 'The disk is full.')
  }
  let reads = 0
  store.enqueue = full
  store.read = () => {
    reads += 1
    return full()
  }
  for (let n = 0; n < 50; n += 1) await expect(enqueue(`lost-${n}`)).rejects.toThrow()
  expect(reads).toBe(1)
  for (let seconds = 0; seconds < 3; seconds += 1) {
    clock.advance(1_000)
    await store.queues()
  }
  expect(reads).toBe(4)
  Object.assign(store, { enqueue: stores, read })
  clock.advance(1_000)
  await queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: {}, id: 'after' })
  await untilOpen('before', 'after')
})

const FIFO = { type: 'fifo', message_group_field: 'group' }
const SUBSCRIPTION = { topic: 'orders', functionId: 'mail::send', conditionFunctionId: undefined }

test.each(['can be read', 'cannot be read for a while'])(
  'a queue whose new order was stored though the answer was lost has that order when the store %s',
  async (how) => {
    const { queue, losing, broken, enqueue, open, untilOpen, openIds, settled } = await losingQueue({
      jobs: {},
    })
    losing.add('define')
    if (how === 'cannot be read for a while') broken.add('queues')
    await expect(queue.define('jobs', FIFO)).rejects.toMatchObject(UNAVAILABLE)
    // As long as nobody knows which order it has, no message is taken.
    if (broken.has('queues'))
      await expect(enqueue('refused', { group: 1 })).rejects.toMatchObject(UNAVAILABLE)
    broken.clear()
    await enqueue('a', { group: 1 })
    await enqueue('b', { group: 1 })
    await settled()
    expect(openIds()).toEqual(['a'])
    open[0]?.answer(DONE)
    await untilOpen('b')
  },
)

test('what is sent while it is not known how a queue is defined stays before what is sent afterwards', async () => {
  const { queue, store, losing, enqueue, openIds, settled } = await losingQueue({ jobs: FIFO })
  const { queues } = store
  const gates: PromiseWithResolvers<void>[] = []
  store.queues = async (...input) => {
    const gate = Promise.withResolvers<void>()
    gates.push(gate)
    await gate.promise
    return queues(...input)
  }
  losing.add('define')
  const defined = expect(queue.define('jobs', { ...FIFO, concurrency: 5 })).rejects.toMatchObject(UNAVAILABLE)
  await eventually(() => gates.length === 1)
  const first = enqueue('a', { group: 1 })
  gates[0]?.resolve()
  await defined
  await settled()
  const second = enqueue('b', { group: 1 })
  for (const gate of gates) gate.resolve()
  await Promise.all([first, second])
  await settled()
  expect(openIds()).toEqual(['a'])
})

test('a queue whose new order was not stored keeps the one it had', async () => {
  const { queue, broken, enqueue, untilOpen } = await losingQueue({ jobs: {} })
  broken.add('define')
  await expect(queue.define('jobs', FIFO)).rejects.toMatchObject(UNAVAILABLE)
  await enqueue('a', {})
  await enqueue('b', {})
  await untilOpen('a', 'b')
})

test('messages that are sent while nobody knows the order of their queue are stored in the order in which they came', async () => {
  const { queue, store, losing, broken, enqueue, openIds, settled } = await losingQueue({ jobs: FIFO })
  losing.add('setPaused')
  broken.add('queues')
  await expect(queue.setPaused('jobs', false)).rejects.toMatchObject(UNAVAILABLE)
  broken.clear()
  const { queues } = store
  const gate = Promise.withResolvers<void>()
  let reads = 0
  store.queues = async (only) => {
    const [stored, read] = [await queues(only), ++reads]
    if (read === 1) await gate.promise
    return stored
  }
  const sent = [enqueue('a', { group: 1 })]
  // What the first read has found is out of date then.
  await queue.setPaused('jobs', false)
  sent.push(enqueue('b', { group: 1 }))
  await settled()
  gate.resolve()
  await Promise.all(sent)
  await settled()
  expect(openIds()).toEqual(['a'])
})

test('a subscription that was stored though the answer was lost gets what is published', async () => {
  const { queue, losing, open } = await losingQueue({})
  const settings = await queue.define('settings', {})
  losing.add('define')
  await expect(queue.subscribe(SUBSCRIPTION, settings)).rejects.toMatchObject(UNAVAILABLE)
  expect(await queue.list(['orders::mail::send'])).toHaveLength(1)
  expect(await queue.publish('orders', {})).toBe(1)
  await eventually(() => open.length === 1)
})

test('whichever moment it is published at, a message reaches the others though the end of one lost its answer', async () => {
  const { queue, store } = await losingQueue({})
  const settings = await queue.define('settings', {})
  await queue.subscribe(SUBSCRIPTION, settings)
  await queue.subscribe({ ...SUBSCRIPTION, functionId: 'stock::book' }, settings)
  const { remove } = store
  const published: Promise<number>[] = []
  const publishAtEachTick = async () => {
    for (let tick = 0; tick < 20; tick += 1) {
      published.push(queue.publish('orders', {}))
      await undefined
    }
  }
  store.remove = async (...input) => {
    await remove(...input)
    void publishAtEachTick()
    throw lost()
  }
  expect(await queue.unsubscribe('orders', 'mail::send')).toBe(true)
  expect(await Promise.all(published)).toEqual(published.map(() => 1))
})

test('a subscription that is ended stays ended though a pause of it fails meanwhile', async () => {
  const { queue, store, losing } = await losingQueue({})
  await queue.subscribe(SUBSCRIPTION, await queue.define('settings', {}))
  losing.add('setPaused')
  const paused = expect(queue.setPaused('orders', true)).rejects.toMatchObject(UNAVAILABLE)
  const { remove } = store
  store.remove = async (...input) => {
    await paused
    return remove(...input)
  }
  expect(await queue.unsubscribe('orders', 'mail::send')).toBe(true)
  expect(await queue.publish('orders', {})).toBe(0)
})

test.each([true, false])(
  'a queue does what it is listed as (paused: %s) though the answer was lost',
  async (paused) => {
    const { queue, losing, enqueue, openIds, untilOpen, settled } = await losingQueue({ jobs: {} })
    await queue.setPaused('jobs', !paused)
    losing.add('setPaused')
    await expect(queue.setPaused('jobs', paused)).rejects.toMatchObject(UNAVAILABLE)
    expect(await queue.list(['jobs'])).toMatchObject([{ paused }])
    await enqueue('a')
    if (!paused) return untilOpen('a')
    await settled()
    expect(openIds()).toEqual([])
  },
)

test.each(['can be read', 'cannot be read for a while'])(
  'a subscription that was ended though the answer was lost refuses nobody what the others get, when the store %s',
  async (how) => {
    const { queue, losing, broken, open, untilOpen } = await losingQueue({})
    const settings = await queue.define('settings', {})
    await queue.subscribe(SUBSCRIPTION, settings)
    await queue.subscribe({ ...SUBSCRIPTION, functionId: 'stock::book' }, settings)
    losing.add('remove')
    const ended = () => queue.unsubscribe('orders', 'mail::send')
    if (how === 'can be read') expect(await ended()).toBe(true)
    else {
      broken.add('queues')
      await expect(ended()).rejects.toMatchObject(UNAVAILABLE)
      broken.clear()
    }
    expect(await queue.publish('orders', {})).toBe(1)
    await eventually(() => open.length === 1)
    await untilOpen(open[0]?.id ?? '')
    expect(await ended()).toBe(false)
  },
)

test.each(['queue', 'letter'])(
  'a %s that is redriven before the lost move to the dead letters is repeated stays redriven',
  async (what) => {
    const { queue, losing, clock, open, enqueue, untilOpen, settled } = await losingQueue({
      jobs: { max_retries: 1 },
    })
    await enqueue('a')
    await untilOpen('a')
    losing.add('deadLetter')
    open[0]?.answer(FAILED)
    await eventually(() => losing.size === 0)
    if (what === 'queue') expect(await queue.redrive('jobs')).toBe(1)
    else expect(await queue.redriveMessage('jobs', 'a')).toBe(true)
    clock.advance(1_000)
    await settled()
    expect(await queue.list(['jobs'])).toMatchObject([{ depth: 1, dead: 0 }])
    await untilOpen('a')
    open[0]?.answer(DONE)
    await settled()
    expect(await queue.list(['jobs'])).toMatchObject([{ depth: 0, dead: 0, inFlight: 0 }])
  },
)

test('a message that dies while others are redriven is redriven with them or stays a letter, not both', async () => {
  const { queue, store, losing, clock, open, enqueue, untilOpen, settled } = await losingQueue({
    jobs: { max_retries: 1 },
  })
  await enqueue('a')
  await enqueue('b')
  await untilOpen('a', 'b')
  open[0]?.answer(FAILED)
  await settled()
  const { redrive } = store
  const gate = Promise.withResolvers<void>()
  store.redrive = async (...chunk) => {
    await gate.promise
    return redrive(...chunk)
  }
  const redriven = queue.redrive('jobs')
  losing.add('deadLetter')
  open[0]?.answer(FAILED)
  await settled()
  gate.resolve()
  const back = await redriven
  await eventually(() => losing.size === 0)
  clock.advance(1_000)
  await settled()
  expect(await queue.list(['jobs'])).toMatchObject([{ depth: back, dead: 2 - back }])
})

test('nothing is redriven while a message cannot be moved to the dead letters', async () => {
  const { queue, broken, clock, open, enqueue, untilOpen, settled } = await losingQueue({
    jobs: { max_retries: 1 },
  })
  await enqueue('a')
  await enqueue('b')
  await untilOpen('a', 'b')
  open[0]?.answer(FAILED)
  await settled()
  broken.add('deadLetter')
  open[0]?.answer(FAILED)
  await expect(queue.redrive('jobs')).rejects.toMatchObject(UNAVAILABLE)
  broken.clear()
  clock.advance(1_000)
  await settled()
  expect(await queue.list(['jobs'])).toMatchObject([{ depth: 0, dead: 2 }])
  expect(await queue.redrive('jobs')).toBe(2)
  await untilOpen('a', 'b')
})
