import { Latencies, type LatencySummary, wallMs } from '../lab/latencies.ts'
import { connectSdk } from '../lab/sdk.ts'
import { serveTask } from '../lab/task.ts'

export interface SdkWorkerInput {
  readonly engine: string
  /** A paused queue whose deliveries go on as soon as this worker is there for them. */
  readonly resume?: string
}

export interface SdkWorkerOutput {
  /** Calls of `bench::work` in each second. */
  readonly workedPerSecond: number
  /** From `at` in their payload to the handler. */
  readonly latency: LatencySummary
}

/** A worker whose functions do nothing: what calling them costs is the engine's and the SDK's own cost. */
serveTask(async ({ engine, resume }: SdkWorkerInput, { stopping, ready }): Promise<SdkWorkerOutput> => {
  const iii = connectSdk(engine, 'bench-worker')
  const latencies = new Latencies()
  let worked = 0
  iii.registerFunction('bench::noop', async () => null)
  iii.registerFunction('bench::work', async ({ at }: { at?: number }) => {
    worked += 1
    if (at !== undefined) latencies.add(wallMs() - at)
    return null
  })
  iii.registerFunction('bench::echo', async () => ({
    status_code: 200,
    headers: { 'Content-Type': 'application/json' },
    body: { position: 1, version: 1, events: 1 },
  }))
  for (const verb of ['sell', 'restock']) {
    const config = { api_path: `/bench/:sku/${verb}`, http_method: 'POST' }
    iii.registerTrigger({ type: 'http', function_id: 'bench::echo', config })
  }
  // What was sent before this call has arrived when it is answered.
  await iii.trigger({ function_id: 'engine::functions::list', payload: {}, timeoutMs: 20_000 })
  if (resume !== undefined) {
    await iii.trigger({ function_id: 'iii::queue::resume', payload: { queue: resume }, timeoutMs: 20_000 })
  }
  const began = performance.now()
  ready()
  await new Promise((resolve) => stopping.addEventListener('abort', resolve, { once: true }))
  const seconds = (performance.now() - began) / 1_000
  return { workedPerSecond: worked / seconds, latency: latencies.summary() }
})
