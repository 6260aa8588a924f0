import { setTimeout as delay } from 'node:timers/promises'
import { inFolder } from './lab/folder.ts'
import type { LatencySummary } from './lab/latencies.ts'
import { startHttpLoad, startWatch, untilVisible } from './lab/load.ts'
import { roundsOf, type Spread, spreadOf } from './lab/spread.ts'
import { type BenchSystem, cpuOf, ROLES, type Role, startSystem } from './lab/system.ts'
import { runTask, startTask } from './lab/task.ts'
import { type Bench, defineScenario, type Row } from './scenario.ts'
import type { HttpLoadOutput } from './tasks/http-load.ts'
import type { SdkLoadInput, SdkLoadOutput } from './tasks/sdk-load.ts'
import type { SdkWorkerInput, SdkWorkerOutput } from './tasks/sdk-worker.ts'

const SDK_WORKER = new URL('./tasks/sdk-worker.ts', import.meta.url)
const SDK_LOAD = new URL('./tasks/sdk-load.ts', import.meta.url)

interface Options {
  readonly concurrency: readonly number[]
  readonly most: number
  readonly seconds: number
  readonly items: number
  readonly keys: number
}

export const command = defineScenario({
  name: 'command',
  title:
    'commands over HTTP through the whole system, next to the same requests to a function that only answers, and to bare calls of the SDK',
  durable: 'the events, the stream’s version and the idempotency key: fsync before the answer',
  options: {
    concurrency: {
      help: 'requests under way at the same time; goes on by doubling the last while that brings more',
      default: [1, 16, 64],
      tiny: [2],
    },
    most: { help: 'requests under way at the same time at the most', default: 512, tiny: 4 },
    seconds: { help: 'of one round', default: 4, tiny: 0.3 },
    items: { help: 'items, each a stream', default: 1_000, tiny: 10 },
    keys: { help: '1: each command has an idempotency key; 0: none has', default: 1 },
  },
  async run(bench) {
    return inFolder(bench.folder, async (data) => {
      const { profile } = bench
      const system = await startSystem({ data: `${data}/data`, profile })
      const worker = startTask<SdkWorkerInput, SdkWorkerOutput>(SDK_WORKER, { engine: system.engine })
      try {
        await worker.ready
        const rows = await untilSaturated(bench.options, (concurrency) =>
          saturating(bench, system, worker.pid, concurrency),
        )
        return [...rows, theMost(rows), await atHalf(bench, system, rows)]
      } finally {
        await worker.stop().catch(() => {})
        await system.stop()
      }
    })
  },
})

/** Commands per second that a step has to bring, compared to the best before it, to be worth another one. */
const WORTH_A_STEP = 1.05

/** A row for each number of requests under way that is asked for, and for further ones until more of them bring no more. */
async function untilSaturated(
  { concurrency, most }: Options,
  measure: (concurrency: number) => Promise<Row>,
): Promise<Row[]> {
  const rows: Row[] = []
  for (const given of concurrency) rows.push(await measure(given))
  let next = 2 * (concurrency.at(-1) ?? 1)
  while (next <= most && best(rows) >= WORTH_A_STEP * best(rows.slice(0, -1))) {
    rows.push(await measure(next))
    next *= 2
  }
  return rows
}

/** The greatest median of a figure. */
function best(rows: readonly Row[], figure = 'commands/s'): number {
  return Math.max(0, ...rows.map(({ is }) => (is[figure] as Spread).median))
}

/** What the system, the echo and the SDK took at the most, at whatever number of requests each of them did so. */
function theMost(rows: readonly Row[]): Row {
  const [commands, echo, calls] = [best(rows), best(rows, 'echo/s'), best(rows, 'SDK calls/s')]
  return {
    of: { pace: 'the most of each' },
    is: {
      'commands/s': commands,
      'echo/s': echo,
      'SDK calls/s': calls,
      'of echo': commands / echo,
      'of SDK': commands / calls,
    },
  }
}

async function saturating(
  bench: Bench<Options>,
  system: BenchSystem,
  echoPid: number,
  closed: number,
): Promise<Row> {
  const { seconds, items, keys } = bench.options
  const load = { pace: { closed }, seconds, items, keys: keys === 1 }
  const commands: HttpLoadOutput[] = []
  const echoes: HttpLoadOutput[] = []
  const calls: SdkLoadOutput[] = []
  const loaded = async (to: 'commands' | 'echo', pids: () => readonly number[]) => {
    const task = startHttpLoad(system.http, { ...load, to })
    await task.ready
    const used = () => pids().reduce((sum, pid) => sum + cpuOf(pid), 0)
    const before = used()
    const output = await task.result
    const each = (used() - before) / (output.perSecond * seconds)
    return { ...output, cpu: output.cpu + each }
  }
  const pidsOf = (roles: readonly Role[]) => roles.flatMap((role) => system.pidOf(role) ?? [])
  for (let round = 0; round < bench.rounds; round += 1) {
    bench.say(`${closed} at the same time, round ${round + 1}`)
    commands.push(await loaded('commands', () => pidsOf(ROLES)))
    echoes.push(await loaded('echo', () => [...pidsOf(['engine']), echoPid]))
    const input: SdkLoadInput = { engine: system.engine, what: 'call', pace: { closed }, seconds, queue: '' }
    calls.push(await runTask<SdkLoadInput, SdkLoadOutput>(SDK_LOAD, input))
  }
  const failed = commands
    .flatMap(({ statuses }) => Object.keys(statuses))
    .filter((status) => status !== '200')
  if (failed.length > 0)
    bench.note(`With ${closed} under way commands were also answered with ${failed.join(', ')}.`)
  return {
    of: { pace: `${closed} under way` },
    is: {
      'commands/s': spreadOf(commands.map(({ perSecond }) => perSecond)),
      'p50 ms': spreadOf(commands.map(({ latency }) => latency.p50)),
      'p99 ms': spreadOf(commands.map(({ latency }) => latency.p99)),
      'echo/s': spreadOf(echoes.map(({ perSecond }) => perSecond)),
      'SDK calls/s': spreadOf(calls.map(({ perSecond }) => perSecond)),
      'of echo': spreadOf(
        commands.map(({ perSecond }, index) => perSecond / (echoes[index]?.perSecond ?? 0)),
      ),
      'of SDK': spreadOf(commands.map(({ perSecond }, index) => perSecond / (calls[index]?.perSecond ?? 0))),
      'CPU µs: command': spreadOf(commands.map(({ cpu }) => cpu)),
      'CPU µs: echo': spreadOf(echoes.map(({ cpu }) => cpu)),
    },
  }
}

/** At half of what it took at most: how long answers take, and how long until every view shows what was answered. */
async function atHalf(bench: Bench<Options>, system: BenchSystem, rows: readonly Row[]): Promise<Row> {
  const { seconds, items, keys } = bench.options
  const rate = Math.max(1, Math.floor(best(rows) / 2))
  const results: (HttpLoadOutput & { inFiles: LatencySummary })[] = []
  for (const round of roundsOf(bench.rounds)) {
    bench.say(`${rate} in each second, round ${round + 1}`)
    const watch = startWatch(system.data)
    await watch.ready
    const load = await startHttpLoad(system.http, {
      pace: { open: rate },
      seconds,
      items,
      keys: keys === 1,
      readEvery: 20,
      record: true,
    }).result
    await delay(1_500)
    const visible = untilVisible(load.answers, await watch.stop())
    if (round >= 0) results.push({ ...load, inFiles: visible })
  }
  const spread = (of: (result: HttpLoadOutput & { inFiles: LatencySummary }) => number) =>
    spreadOf(results.map(of))
  return {
    of: { pace: `${rate} per second` },
    is: {
      'commands/s': spread(({ perSecond }) => perSecond),
      'p50 ms': spread(({ latency }) => latency.p50),
      'p99 ms': spread(({ latency }) => latency.p99),
      'visible p50 ms': spread(({ inFiles }) => inFiles.p50),
      'visible p99 ms': spread(({ inFiles }) => inFiles.p99),
      'visible max ms': spread(({ inFiles }) => inFiles.max),
      'read p50 ms': spread(({ visible }) => visible.p50),
      'read p99 ms': spread(({ visible }) => visible.p99),
    },
  }
}
