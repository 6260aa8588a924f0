import type { HttpLoadInput, HttpLoadOutput } from '../tasks/http-load.ts'
import type { WatchInput, WatchOutput } from '../tasks/watch-views.ts'
import { Latencies, type LatencySummary } from './latencies.ts'
import { type BenchSystem, viewFiles } from './system.ts'
import { type RunningTask, startTask } from './task.ts'

const HTTP_LOAD = new URL('../tasks/http-load.ts', import.meta.url)
const WATCH = new URL('../tasks/watch-views.ts', import.meta.url)

let loads = 0

/** Starts a process that sends commands (or their echo) to a system. */
export function startHttpLoad(
  http: string,
  input: Partial<HttpLoadInput> & Pick<HttpLoadInput, 'pace' | 'seconds'>,
): RunningTask<HttpLoadOutput> {
  loads += 1
  return startTask<HttpLoadInput, HttpLoadOutput>(HTTP_LOAD, {
    http,
    name: `load${process.pid}-${loads}`,
    to: 'commands',
    warmUpSeconds: Math.min(1, input.seconds),
    items: 200,
    keys: true,
    readEvery: 0,
    record: false,
    ...input,
  })
}

/** Requests per second with many under way: what the system takes at the most. */
export async function saturation(system: BenchSystem, seconds: number, closed = 64): Promise<number> {
  return (await startHttpLoad(system.http, { pace: { closed }, seconds }).result).perSecond
}

/** Starts a process that notes when each view moves. */
export function startWatch(data: string, pollMs = 2): RunningTask<WatchOutput> {
  return startTask<WatchInput, WatchOutput>(WATCH, { files: viewFiles(data), pollMs })
}

/** From each answer until the last view had its position. */
export function untilVisible(answers: HttpLoadOutput['answers'], views: WatchOutput): LatencySummary {
  const latencies = new Latencies()
  const cursors = views.map(() => 0)
  for (const [at, position] of answers.toSorted(([, left], [, right]) => left - right)) {
    let last = at
    views.forEach((moves, view) => {
      let cursor = cursors[view] ?? 0
      while (cursor < moves.length && (moves[cursor]?.[1] ?? 0) < position) cursor += 1
      cursors[view] = cursor
      last = Math.max(last, moves[cursor]?.[0] ?? Number.POSITIVE_INFINITY)
    })
    latencies.add(last - at)
  }
  return latencies.summary()
}
