import pino from 'pino'
import { DurableQueue } from '../../../src/queue/queue.ts'
import type { DeliveryOutcome } from '../../../src/queue/runner.ts'
import { openSqliteQueueStore } from '../../../src/queue/sqlite/store.ts'
import { cpuSince } from '../lab/cpu.ts'
import { fillQueue } from '../lab/fill-queue.ts'
import { closedLoop } from '../lab/pace.ts'
import { memoryOf } from '../lab/system.ts'
import { serveTask } from '../lab/task.ts'
import { sampleData } from './sample-event.ts'

export interface QueueStoreInput {
  readonly folder: string
  readonly callers: number
  readonly seconds: number
  readonly queues: number
  /** Groups of a fifo queue; 0 for standard queues. */
  readonly groups: number
  /** Messages in the first queue before anything is measured. */
  readonly backlog: number
  /** Of a hundred messages so many fail at their first delivery, and as many at every one. */
  readonly failingPercent: number
  /** Messages under way at the same time in each queue. */
  readonly concurrency: number
}

export interface QueueStoreOutput {
  readonly enqueuedPerSecond: number
  readonly workedPerSecond: number
  /** Of one message, in microseconds, all threads. */
  readonly enqueueCpu: number
  readonly workCpu: number
  readonly dead: number
  readonly memoryMiB: number
}

const LOG = pino({ level: 'silent' })

/** The queue without an engine: adding with fsync, and working with fsync, in one process. */
serveTask(async (input: QueueStoreInput): Promise<QueueStoreOutput> => {
  const { folder, callers, seconds, queues, groups, backlog, failingPercent, concurrency } = input
  const store = await openSqliteQueueStore({ folder })
  const settings = { concurrency, max_retries: 3, backoff_ms: 1, max_backoff_ms: 5 }
  const shape = groups > 0 ? { ...settings, type: 'fifo', message_group_field: 'group' } : settings
  const names = Array.from({ length: queues }, (_, index) => `queue-${index}`)
  const queue = await DurableQueue.open({
    store,
    log: LOG,
    queues: Object.fromEntries(names.map((name) => [name, shape])),
  })
  let index = 0
  const enqueue = async () => {
    const n = index++
    const data = { ...sampleData(n), ...(groups > 0 ? { group: `g${n % groups}` } : {}) }
    const message = { queue: names[n % queues] as string, functionId: 'bench::work', data, id: `m${n}` }
    await queue.enqueue(message)
  }
  await fillQueue(store, { queue: names[0] as string, messages: backlog, groups })
  const addCpu = cpuSince()
  const added = await closedLoop(callers, { seconds }, enqueue)
  const enqueueCpu = addCpu().process / added.done

  // What is waiting now is worked off: all of it, or as much as the time allows.
  const total = backlog + added.done
  const worked = await work(queue, { total, seconds: backlog > 0 ? seconds : 120, failingPercent })
  const { dead } = (await queue.list()).reduce((sum, each) => ({ dead: sum.dead + each.dead }), { dead: 0 })
  const memoryMiB = memoryOf(process.pid) / 2 ** 20
  await queue.stop(5_000)
  return {
    enqueuedPerSecond: added.done / added.seconds,
    workedPerSecond: worked.done / worked.seconds,
    enqueueCpu,
    workCpu: worked.cpu / worked.done,
    dead,
    memoryMiB,
  }
})

function work(
  queue: DurableQueue,
  { total, seconds, failingPercent }: { total: number; seconds: number; failingPercent: number },
): Promise<{ done: number; seconds: number; cpu: number }> {
  const cpu = cpuSince()
  const began = performance.now()
  let done = 0
  const { promise, resolve } = Promise.withResolvers<{ done: number; seconds: number; cpu: number }>()
  const finish = () => resolve({ done, seconds: (performance.now() - began) / 1_000, cpu: cpu().process })
  setTimeout(finish, seconds * 1_000).unref()
  queue.start(async ({ message }): Promise<DeliveryOutcome> => {
    const { seq, attempts } = message
    const isDoomed = seq % 100 < failingPercent
    if (isDoomed || (seq % 100 < 2 * failingPercent && attempts === 0)) {
      if (isDoomed && attempts + 1 >= 3) done += 1
      if (done >= total) setImmediate(finish)
      return { outcome: 'failed', error: 'It was to fail.' }
    }
    done += 1
    if (done >= total) setImmediate(finish)
    return { outcome: 'done' }
  })
  return promise
}
