import { inFolder } from './lab/folder.ts'
import { repeated } from './lab/spread.ts'
import { runTask } from './lab/task.ts'
import { throughEngine } from './queue-engine.ts'
import { type Bench, defineScenario, type Row } from './scenario.ts'
import type { QueueStoreInput, QueueStoreOutput } from './tasks/queue-store.ts'

const STORE = new URL('./tasks/queue-store.ts', import.meta.url)

interface Options {
  readonly callers: readonly number[]
  readonly seconds: number
  readonly backlog: number
  readonly queues: readonly number[]
  readonly groups: readonly number[]
}

export const queue = defineScenario({
  name: 'queue',
  title: 'the queue by itself (store) and through the engine, empty and with a backlog, in all its shapes',
  durable: 'a message: fsync before its receipt; that it is done: fsync before the next of its group',
  options: {
    callers: { help: 'enqueues under way at the same time', default: [1, 64, 1_024], tiny: [8] },
    seconds: { help: 'of one round', default: 3, tiny: 0.2 },
    backlog: {
      help: 'messages that wait while enqueueing and working are measured again',
      default: 1_000_000,
      tiny: 3_000,
    },
    queues: { help: 'numbers of queues, each standard and fifo', default: [1, 16], tiny: [2] },
    groups: { help: 'numbers of fifo groups', default: [1, 100, 10_000], tiny: [5] },
  },
  async run(bench) {
    return [...(await atStore(bench)), ...(await throughEngine(bench))]
  },
})

const PLAIN = { queues: 1, groups: 0, backlog: 0, failingPercent: 0, concurrency: 64 }

async function atStore(bench: Bench<Options>): Promise<Row[]> {
  const { callers, seconds, backlog, queues, groups } = bench.options
  const most = Math.max(...callers)
  const rows: Row[] = []
  const measure = async (of: string, input: Partial<QueueStoreInput>, rounds = bench.rounds) => {
    const figures = await repeated(rounds, async (round) => {
      bench.say(`${of}, round ${round + 1}`)
      const output = await inFolder(bench.folder, (folder) =>
        runTask<QueueStoreInput, QueueStoreOutput>(
          STORE,
          { folder, callers: most, seconds, ...PLAIN, ...input },
          { profile: bench.profile },
        ),
      )
      return {
        'enqueued/s': output.enqueuedPerSecond,
        'worked/s': output.workedPerSecond,
        'CPU µs: enqueue': output.enqueueCpu,
        'CPU µs: work': output.workCpu,
        dead: output.dead,
        'memory MiB': output.memoryMiB,
      }
    })
    rows.push({ of: { line: of }, is: figures })
  }
  for (const each of callers) await measure(`store, ${each} callers`, { callers: each })
  await measure(`store, ${backlog} waiting`, { backlog }, 1)
  for (const count of queues) {
    await measure(`store, ${count} standard, 1 % fail once, 1 % die`, { queues: count, failingPercent: 1 })
    for (const each of groups) {
      const of = `store, ${count} fifo, ${each} groups, 1 % fail once, 1 % die`
      await measure(of, { queues: count, groups: each, failingPercent: 1 })
    }
  }
  return rows
}
