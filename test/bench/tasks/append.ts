import { join } from 'node:path'
import { openSqliteEventLog } from '../../../src/log/sqlite/event-log.ts'
import { type CpuTime, cpuSince } from '../lab/cpu.ts'
import { Latencies, type LatencySummary } from '../lab/latencies.ts'
import { closedLoop } from '../lab/pace.ts'
import { serveTask } from '../lab/task.ts'
import { SAMPLE_METADATA, SAMPLE_TYPE, sampleData, sampleStream } from './sample-event.ts'

export interface AppendInput {
  readonly folder: string
  readonly callers: number
  readonly seconds: number
  readonly streams: number
}

export interface AppendOutput {
  readonly perSecond: number
  readonly latency: LatencySummary
  /** Of one append, in microseconds. */
  readonly cpu: CpuTime
}

/** Callers that append one event each to the log of this process, again and again, each on another stream. */
serveTask(async ({ folder, callers, seconds, streams }: AppendInput): Promise<AppendOutput> => {
  const log = openSqliteEventLog({ path: join(folder, 'events.db') })
  const versions = new Map<string, number>()
  const latencies = new Latencies()
  let index = 0
  const append = async () => {
    index += 1
    const stream = sampleStream(index, streams)
    const expectedVersion = versions.get(stream) ?? 0
    const began = performance.now()
    const outcome = await log.append({
      stream,
      expectedVersion,
      events: [{ type: SAMPLE_TYPE, schemaVersion: 1, data: sampleData(index) }],
      metadata: SAMPLE_METADATA,
    })
    latencies.add(performance.now() - began)
    if (outcome.kind !== 'appended') throw new Error(`An append was not stored: ${outcome.kind}`)
    versions.set(stream, outcome.version)
  }
  // The first append starts the writer thread.
  await append()
  const cpu = cpuSince()
  const { done, seconds: taken } = await closedLoop(callers, { seconds }, append)
  const { process: all, main } = cpu()
  await log.close()
  return {
    perSecond: done / taken,
    latency: latencies.summary(),
    cpu: { process: all / done, main: main / done },
  }
})
