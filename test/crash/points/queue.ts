import { expect } from 'vitest'
import type { Boundary } from '../../../src/boundaries.ts'
import type { CrashWorld } from '../../support/crash-world.ts'
import { until } from '../../support/until.ts'
import type { CrashCases } from './cases.ts'

interface DeadLetter {
  readonly id: string
  readonly payload: { readonly job: string }
  readonly retries: number
}

/** A queue with a name of its own. Failed deliveries come again soon. */
async function newQueue(world: CrashWorld, boundary: Boundary, max_retries: number): Promise<string> {
  const queue = `jobs-${boundary}`
  await world.call('queue::define', { queue, config: { max_retries, backoff_ms: 20 } })
  return queue
}

const depthOf = async (world: CrashWorld, topic: string) =>
  (await world.call<{ depth: number }>('engine::queue::topic_stats', { topic })).depth

const lettersOf = (world: CrashWorld, topic: string) =>
  world.call<DeadLetter[]>('engine::queue::dlq_messages', { topic, offset: 0, limit: 10 })

/** Resolves when nothing waits in a queue any more. */
const drained = (world: CrashWorld, queue: string) =>
  until(`${queue} is empty`, async () => (await depthOf(world, queue)) === 0)

/** Enqueues a job while the queue worker is killed. @returns the receipt, if one came */
async function enqueueOver(world: CrashWorld, boundary: Boundary): Promise<string | undefined> {
  const queue = await newQueue(world, boundary, 3)
  const receipt = await world.killAt('queue', boundary, () => world.enqueue(queue, boundary), { of: queue })
  await drained(world, queue)
  expect(await lettersOf(world, queue)).toEqual([])
  return receipt
}

/** A dead letter, of a job that failed once; then the cause is gone. */
async function deadLetter(world: CrashWorld, boundary: Boundary): Promise<{ queue: string; id: string }> {
  const queue = await newQueue(world, boundary, 1)
  world.failing.jobs = true
  expect(await world.enqueue(queue, boundary)).toBeDefined()
  const [letter] = await until('the job is a dead letter', async () => {
    const letters = await lettersOf(world, queue)
    return letters.length > 0 && letters
  })
  world.failing.jobs = false
  return { queue, id: letter?.id ?? '' }
}

/** What a receipt promises: the message is delivered, or is a dead letter; and nothing else is there. */
export const queueCases = {
  async 'message-written'(world) {
    expect(await enqueueOver(world, 'message-written'), 'no receipt').toBeUndefined()
    await world.enqueue('jobs-message-written', 'later')
    await until('a later job is done', () => world.timesDone('later') === 1)
    expect(world.timesDone('message-written'), 'nothing of the message was left').toBe(0)
  },

  async 'message-stored'(world) {
    expect(await enqueueOver(world, 'message-stored'), 'no receipt').toBeUndefined()
    expect(world.timesDone('message-stored')).toBe(1)
  },

  async 'receipt-sent'(world) {
    expect(await enqueueOver(world, 'receipt-sent')).toBeDefined()
    expect(world.timesDone('receipt-sent')).toBeGreaterThanOrEqual(1)
  },

  async 'delivery-started'(world) {
    await enqueueOver(world, 'delivery-started')
    expect(world.timesDone('delivery-started')).toBeGreaterThanOrEqual(1)
  },

  async 'delivery-answered'(world) {
    await enqueueOver(world, 'delivery-answered')
    expect(world.timesDone('delivery-answered'), 'done, and done again').toBe(2)
  },

  async 'message-removed'(world) {
    await enqueueOver(world, 'message-removed')
    await world.enqueue('jobs-message-removed', 'the next')
    await until('the next job is done', () => world.timesDone('the next') === 1)
    expect(world.timesDone('message-removed')).toBe(1)
  },

  async 'failure-stored'(world) {
    const queue = await newQueue(world, 'failure-stored', 3)
    world.failing.jobs = true
    const enqueue = () => world.enqueue(queue, 'failure-stored')
    await world.killAt('queue', 'failure-stored', enqueue, { of: queue, hit: 2 })
    const [letter] = await until('the job is a dead letter', async () => {
      const letters = await lettersOf(world, queue)
      return letters.length > 0 && letters
    })
    expect(letter).toMatchObject({ payload: { job: 'failure-stored' }, retries: 3 })
    expect(world.timesDone('failure-stored'), 'no attempt was forgotten').toBe(3)
    expect(await depthOf(world, queue)).toBe(0)
  },

  async 'dead-letter-moved'(world) {
    const queue = await newQueue(world, 'dead-letter-moved', 1)
    world.failing.jobs = true
    await world.killAt('queue', 'dead-letter-moved', () => world.enqueue(queue, 'dead-letter-moved'), {
      of: queue,
    })
    world.failing.jobs = false
    expect(await lettersOf(world, queue)).toMatchObject([{ payload: { job: 'dead-letter-moved' } }])
    expect(await depthOf(world, queue)).toBe(0)
    await world.enqueue(queue, 'after the dead one')
    await until('the next job is done', () => world.timesDone('after the dead one') === 1)
    expect(world.timesDone('dead-letter-moved'), 'what is dead is not tried again').toBe(1)
  },

  async 'dead-letter-redriven'(world) {
    const { queue } = await deadLetter(world, 'dead-letter-redriven')
    const redrive = () => world.lastCall('iii::queue::redrive', { queue })
    await world.killAt('queue', 'dead-letter-redriven', redrive, { of: queue })
    await until('the job is done after all', () => world.timesDone('dead-letter-redriven') === 2)
    await drained(world, queue)
    expect(await lettersOf(world, queue)).toEqual([])
    expect(world.timesDone('dead-letter-redriven'), 'failed once, done once').toBe(2)
  },

  async 'dead-letter-discarded'(world) {
    const { queue, id } = await deadLetter(world, 'dead-letter-discarded')
    const discard = () => world.lastCall('iii::queue::discard_message', { queue, message_id: id })
    await world.killAt('queue', 'dead-letter-discarded', discard, { of: queue })
    expect(await lettersOf(world, queue)).toEqual([])
    await world.enqueue(queue, 'after the discarded one')
    await until('the next job is done', () => world.timesDone('after the discarded one') === 1)
    expect(world.timesDone('dead-letter-discarded')).toBe(1)
    await drained(world, queue)
    expect(await lettersOf(world, queue)).toEqual([])
  },
} satisfies CrashCases
