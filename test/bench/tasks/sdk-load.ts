import { TriggerAction } from 'iii-sdk'
import { Latencies, type LatencySummary, wallMs } from '../lab/latencies.ts'
import { closedLoop, openLoop } from '../lab/pace.ts'
import { connectSdk } from '../lab/sdk.ts'
import { serveTask } from '../lab/task.ts'
import { sampleData } from './sample-event.ts'

export interface SdkLoadInput {
  readonly engine: string
  /** Call a function that does nothing, or put single messages for one into a queue. */
  readonly what: 'call' | 'enqueue'
  readonly pace: { readonly closed: number } | { readonly open: number }
  readonly seconds: number
  readonly queue: string
}

export interface SdkLoadOutput {
  readonly perSecond: number
  readonly done: number
  readonly latency: LatencySummary
}

serveTask(async ({ engine, what, pace, seconds, queue }: SdkLoadInput): Promise<SdkLoadOutput> => {
  const iii = connectSdk(engine, 'bench-load')
  let latencies = new Latencies()
  let index = 0
  const call = async (began: number) => {
    index += 1
    const payload = { ...sampleData(index), at: wallMs() }
    const message = { function_id: 'bench::work', payload, action: TriggerAction.Enqueue({ queue }) }
    await iii.trigger(what === 'call' ? { function_id: 'bench::noop', payload } : message)
    latencies.add(performance.now() - began)
  }
  await closedLoop(4, { seconds: Math.min(1, seconds) }, () => call(performance.now()))
  latencies = new Latencies()
  const { done, seconds: taken } =
    'open' in pace
      ? await openLoop(pace.open, { seconds }, call)
      : await closedLoop(pace.closed, { seconds }, () => call(performance.now()))
  return { perSecond: done / taken, done: index, latency: latencies.summary() }
})
