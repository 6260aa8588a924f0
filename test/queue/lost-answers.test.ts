import { expect, onTestFinished, test } from 'vitest'
import { CqrsError } from '../../src/kernel/errors.ts'
import type { QueueStore } from '../../src/queue/contract.ts'
import { DurableQueue } from '../../src/queue/queue.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { DONE, queueHarness, silent } from '../support/queue-harness.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { eventually } from '../support/until.ts'

/** A store whose writer ends after it has stored the next messages, before it answers. */
function losingAnswers(store: QueueStore): { store: QueueStore; loseNext(): void } {
  let isLost = false
  const enqueue: QueueStore['enqueue'] = async (messages) => {
    const outcomes = await store.enqueue(messages)
    if (!isLost) return outcomes
    isLost = false
    throw new CqrsError('CQRS_STORE_UNAVAILABLE', 'The writer thread ended.')
  }
  const proxy = new Proxy(store, {
    get: (target, name) =>
      name === 'enqueue' ? enqueue : (Reflect.get(target, name) as () => unknown).bind(target),
  })
  return {
    store: proxy,
    loseNext() {
      isLost = true
    },
  }
}

test.each(['is sent again under its receipt', 'is never sent again'])(
  'a message that was stored though its answer was lost is delivered when it %s',
  async (how) => {
    const { store, loseNext } = losingAnswers(await openSqliteQueueStore({ folder: tempFolder() }))
    const queue = await DurableQueue.open({ store, log: silent, queues: { jobs: {} } })
    onTestFinished(() => queue.stop(0).then(() => undefined))
    const delivered: string[] = []
    queue.start(async ({ message }) => {
      delivered.push(message.id)
      return DONE
    })
    const enqueue = (id: string) => queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: {}, id })
    await enqueue('first')
    await eventually(() => delivered.length === 1)

    loseNext()
    await expect(enqueue('lost')).rejects.toMatchObject({ code: 'CQRS_STORE_UNAVAILABLE' })
    if (how === 'is sent again under its receipt') await enqueue('lost')
    await eventually(() => delivered.length === 2)
    expect(delivered).toEqual(['first', 'lost'])
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
