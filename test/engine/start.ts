import { onTestFinished } from 'vitest'
import { type Engine, type EngineOptions, startEngine } from '../../src/engine/engine.ts'
import { RawWorker } from '../support/raw-worker.ts'

/** An engine for one test, on ports that the system chooses; closed when the test ends. */
export async function engineForTest(options: EngineOptions = {}): Promise<Engine & { httpUrl: string }> {
  const http = options.http === false ? false : { port: 0, ...options.http }
  const engine = await startEngine({ port: 0, ...options, http })
  onTestFinished(() => engine.close())
  return { ...engine, httpUrl: engine.httpUrl ?? '' }
}

/** A worker for one test. */
export async function workerForTest(engine: Engine): Promise<RawWorker> {
  const worker = await RawWorker.connect(engine.url)
  onTestFinished(() => worker.terminate())
  return worker
}

/** Offers `functionId` and binds a route to it. */
export async function route(
  worker: RawWorker,
  config: { api_path: string; http_method?: string } & Record<string, unknown>,
  handler: (request: Record<string, unknown>) => unknown,
): Promise<void> {
  const functionId = `test::${config.http_method ?? 'GET'}${config.api_path}`
  worker.send({
    type: 'registertrigger',
    id: functionId,
    trigger_type: 'http',
    function_id: functionId,
    config,
  })
  await worker.offer(functionId, (data) => handler(data as Record<string, unknown>))
}
