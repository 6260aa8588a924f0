import { setTimeout as delay } from 'node:timers/promises'
import { parseQueueSettings } from '../../src/queue/settings.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { fillQueue } from './lab/fill-queue.ts'
import { inFolder } from './lab/folder.ts'
import type { LatencySummary } from './lab/latencies.ts'
import { repeated, roundsOf, spreadOf } from './lab/spread.ts'
import { type BenchSystem, startSystem } from './lab/system.ts'
import { type RunningTask, runTask, startTask } from './lab/task.ts'
import type { Bench, Row } from './scenario.ts'
import type { SdkLoadInput, SdkLoadOutput } from './tasks/sdk-load.ts'
import type { SdkWorkerInput, SdkWorkerOutput } from './tasks/sdk-worker.ts'

const SDK_WORKER = new URL('./tasks/sdk-worker.ts', import.meta.url)
const SDK_LOAD = new URL('./tasks/sdk-load.ts', import.meta.url)

/** Callers that enqueue at the same time, and messages that are delivered at the same time from each queue. */
const AT_ONCE = 64

/** The queue that messages wait in, paused, while the latency of another one is measured. */
const WAITING = 'waiting'

interface Options {
  readonly seconds: number
  readonly backlog: number
}

/** Single messages through the engine: next to bare calls, and with nothing and with a backlog in the same store. */
export async function throughEngine(bench: Bench<Options>): Promise<Row[]> {
  const rows: Row[] = []
  for (const callers of [AT_ONCE, 4 * AT_ONCE]) rows.push(await takenThenDelivered(bench, callers))
  const { rate, row } = await inSystem(bench, 0, (lab) => saturating(bench, lab))
  const few = Math.min(100_000, bench.options.backlog)
  rows.push(row)
  for (const waiting of new Set([few, bench.options.backlog])) {
    rows.push(await inSystem(bench, waiting, (lab) => besideBacklog(bench, lab, { rate, waiting })))
  }
  return rows
}

interface Lab {
  /** @param queue where `enqueue` puts its messages; `default` if left out */
  load(what: SdkLoadInput['what'], pace: SdkLoadInput['pace'], queue?: string): Promise<SdkLoadOutput>
  /** Starts a worker that messages are delivered to. */
  worker(options?: Pick<SdkWorkerInput, 'resume'>): Promise<RunningTask<SdkWorkerOutput>>
}

async function inSystem<Result>(
  { folder: parent, options: { seconds }, profile, say }: Bench<Options>,
  waiting: number,
  measure: (lab: Lab) => Promise<Result>,
): Promise<Result> {
  return inFolder(parent, async (folder) => {
    const data = `${folder}/data`
    if (waiting > 0) say(`${waiting} messages into a queue that is paused`)
    await fill(data, waiting)
    const system = await startSystem({ data, profile, env: { CQRS_QUEUE_CONCURRENCY: String(AT_ONCE) } })
    const started: RunningTask<SdkWorkerOutput>[] = []
    try {
      return await measure({
        load: (what, pace, queue = 'default') => sdkLoad(system, { what, pace, seconds, queue }),
        async worker(options = {}) {
          const input = { engine: system.engine, ...options }
          const task = startTask<SdkWorkerInput, SdkWorkerOutput>(SDK_WORKER, input)
          started.push(task)
          await task.ready
          return task
        },
      })
    } finally {
      for (const task of started) await task.stop().catch(() => {})
      await system.stop()
    }
  })
}

/** A queue {@link WAITING} that is paused, with so many messages. */
async function fill(folder: string, messages: number): Promise<void> {
  const store = await openSqliteQueueStore({ folder })
  const settings = parseQueueSettings(WAITING, { concurrency: AT_ONCE })
  await store.define(WAITING, { settings, subscription: undefined })
  await store.setPaused(WAITING, true)
  if (messages > 0) await fillQueue(store, { queue: WAITING, messages, groups: 0 })
  await store.close()
}

function sdkLoad({ engine }: BenchSystem, input: Omit<SdkLoadInput, 'engine'>): Promise<SdkLoadOutput> {
  return runTask<SdkLoadInput, SdkLoadOutput>(SDK_LOAD, { engine, ...input })
}

/** Messages that are only taken, and then only delivered, next to bare calls: each of the two is one such call. */
async function takenThenDelivered(bench: Bench<Options>, callers: number): Promise<Row> {
  const figures = await repeated(bench.rounds, (round) => {
    bench.say(`${callers} callers, taken and then delivered, round ${round + 1}`)
    return inSystem(bench, 0, async (lab) => {
      const idle = await lab.worker()
      const called = await lab.load('call', { closed: callers })
      const enqueued = await lab.load('enqueue', { closed: callers }, WAITING)
      await idle.stop()
      const handler = await lab.worker({ resume: WAITING })
      await delay(1_000 * bench.options.seconds)
      const { workedPerSecond } = await handler.stop()
      return {
        'enqueued/s': enqueued.perSecond,
        'worked/s': workedPerSecond,
        'SDK calls/s': called.perSecond,
        'of SDK': enqueued.perSecond / called.perSecond,
        'worked, of SDK': workedPerSecond / called.perSecond,
        'p50 ms': enqueued.latency.p50,
        'p99 ms': enqueued.latency.p99,
      }
    })
  })
  return { of: { line: `engine, ${callers} callers, taken, then delivered` }, is: figures }
}

/** As much as it takes, next to as many bare calls. `rate` is half of it, in messages per second. */
async function saturating(bench: Bench<Options>, lab: Lab): Promise<{ rate: number; row: Row }> {
  await lab.worker()
  const enqueued: SdkLoadOutput[] = []
  const called: SdkLoadOutput[] = []
  for (const round of roundsOf(bench.rounds)) {
    bench.say(`through the engine, round ${round + 1}`)
    const call = await lab.load('call', { closed: AT_ONCE })
    const enqueue = await lab.load('enqueue', { closed: AT_ONCE })
    if (round < 0) continue
    called.push(call)
    enqueued.push(enqueue)
  }
  const perSecond = spreadOf(enqueued.map((each) => each.perSecond))
  return {
    rate: Math.max(1, Math.floor(perSecond.median / 2)),
    row: {
      of: { line: `engine, ${AT_ONCE} callers, worked at the same time` },
      is: {
        'enqueued/s': perSecond,
        'SDK calls/s': spreadOf(called.map((each) => each.perSecond)),
        'of SDK': spreadOf(enqueued.map((each, at) => each.perSecond / (called[at]?.perSecond ?? 0))),
        'p99 ms': spreadOf(enqueued.map(({ latency }) => latency.p99)),
      },
    },
  }
}

/** From enqueue to handler at a fixed rate while messages wait in another queue; then what of those is delivered. */
async function besideBacklog(
  bench: Bench<Options>,
  lab: Lab,
  { rate, waiting }: { rate: number; waiting: number },
): Promise<Row> {
  const latencies: LatencySummary[] = []
  for (const round of roundsOf(bench.rounds)) {
    bench.say(`to the handler at ${rate} per second, ${waiting} wait, round ${round + 1}`)
    const handler = await lab.worker()
    await lab.load('enqueue', { open: rate })
    const { latency } = await handler.stop()
    if (round >= 0) latencies.push(latency)
  }
  bench.say(`${waiting} wait and are delivered`)
  const handler = await lab.worker({ resume: WAITING })
  await delay(1_000 * bench.options.seconds)
  const { workedPerSecond } = await handler.stop()
  return {
    of: { line: `engine, ${waiting} wait, ${rate} per second to another queue` },
    is: {
      'p50 ms': spreadOf(latencies.map(({ p50 }) => p50)),
      'p99 ms': spreadOf(latencies.map(({ p99 }) => p99)),
      'worked/s': workedPerSecond,
    },
  }
}
