import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { DurableQueueOptions } from '../../src/queue/options.ts'
import { DurableQueue } from '../../src/queue/queue.ts'
import type { DeliveryOutcome } from '../../src/queue/runner.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { FakeClock } from './fake-clock.ts'
import { tempFolder } from './temp-folder.ts'
import { eventually } from './until.ts'

export const silent = pino({ level: 'silent' })

export const DONE: DeliveryOutcome = { outcome: 'done' }
export const FAILED: DeliveryOutcome = { outcome: 'failed', error: 'no' }
export const STOPPED: DeliveryOutcome = { outcome: 'stopped', error: 'the worker died' }
export const MISSING: DeliveryOutcome = { outcome: 'missing' }

/** A delivery that waits for the test to answer it. */
export interface OpenDelivery {
  queue: string
  id: string
  functionId: string
  attempts: number
  timeoutMs: number
  answer(outcome: DeliveryOutcome): void
}

type Overrides = Partial<Omit<DurableQueueOptions, 'store' | 'clock'>>

/** A queue on SQLite whose functions are played by the test, on a clock that stands still. */
export async function queueHarness(overrides: Overrides = {}, folder = tempFolder()) {
  const clock = new FakeClock()
  /** Every delivery ever made, in order, by message id. */
  const delivered: string[] = []
  /** Deliveries that were not answered yet. */
  const open: OpenDelivery[] = []
  /** Answers deliveries by itself if it is set. */
  const automatic: { answer: ((delivery: OpenDelivery) => DeliveryOutcome) | undefined } = {
    answer: undefined,
  }
  const store = await openSqliteQueueStore({ folder })
  const queue = await DurableQueue.open({ store, log: silent, clock, random: () => 0.999, ...overrides })
  onTestFinished(() => queue.stop(0).then(() => undefined))

  const start = (): void =>
    queue.start(({ queue: name, message, settings }) => {
      delivered.push(message.id)
      return new Promise((resolve) => {
        const delivery: OpenDelivery = {
          queue: name,
          id: message.id,
          functionId: message.functionId,
          attempts: message.attempts,
          timeoutMs: settings.timeout_ms,
          answer: (outcome) => {
            const at = open.indexOf(delivery)
            if (at >= 0) open.splice(at, 1)
            resolve(outcome)
          },
        }
        open.push(delivery)
        if (automatic.answer) delivery.answer(automatic.answer(delivery))
      })
    })

  const enqueue = (id: string, data: object = {}, to: { queue?: string; functionId?: string } = {}) =>
    queue.enqueue({ queue: to.queue ?? 'jobs', functionId: to.functionId ?? 'job::run', data, id })

  /** Enqueues many messages, as many at a time as the store lets wait. */
  const enqueueAll = async (ids: string[], dataOf: (index: number) => object): Promise<void> => {
    for (let from = 0; from < ids.length; from += 5_000) {
      const part = ids.slice(from, from + 5_000)
      await Promise.all(part.map((id, index) => enqueue(id, dataOf(from + index))))
    }
  }

  /** Answers the open delivery of a message, once there is one. */
  const answer = async (id: string, outcome: DeliveryOutcome = DONE): Promise<void> => {
    await eventually(() => open.some((delivery) => delivery.id === id))
    open.find((delivery) => delivery.id === id)?.answer(outcome)
  }

  const openIds = (): string[] => open.map(({ id }) => id)

  /** Waits until exactly these messages are being delivered. */
  const untilOpen = (...ids: string[]): Promise<void> =>
    eventually(() => openIds().toSorted().join() === ids.toSorted().join())

  const status = async (name = 'jobs') => (await queue.status(name))[0]

  /** Waits until everything that was answered is stored, however it ended. */
  const settled = async (): Promise<void> => {
    // Each round trip of the store comes after what was submitted before it.
    for (let round = 0; round < 3; round += 1) await store.queues()
  }

  return {
    queue,
    store,
    clock,
    folder,
    delivered,
    open,
    automatic,
    start,
    enqueue,
    enqueueAll,
    answer,
    openIds,
    untilOpen,
    status,
    settled,
  }
}
