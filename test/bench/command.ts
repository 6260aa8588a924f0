import { setTimeout as delay } from 'node:timers/promises'
import { inFolder } from './lab/folder.ts'
import type { LatencySummary } from './lab/latencies.ts'
import { startHttpLoad, startWatch, untilVisible } from './lab/load.ts'
import { roundsOf, spreadOf } from './lab/spread.ts'
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
    concurrency: { help: 'requests under way at the same time', default: [1, 4, 16, 64, 256], tiny: [2] },
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
        const rows: Row[] = []
        for (const concurrency of bench.options.concurrency) {
          rows.push(await saturating(bench, system, worker.pid, concurrency))
        }
        rows.push(await atHalf(bench, system, rows))
        return rows
      } finally {
        await worker.stop().catch(() => {})
        await system.stop()
      }
    })
  },
})

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
  const most = Math.max(...rows.map(({ is }) => (is['commands/s'] as { median: number }).median))
  const rate = Math.max(1, Math.floor(most / 2))
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
