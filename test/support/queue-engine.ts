import { type IIIClient, registerWorker } from 'iii-sdk'
import { onTestFinished, vi } from 'vitest'
import { startEngine } from '../../src/engine/engine.ts'

/** An embedded engine for one test; `restart` cuts every link and comes back on the same port. */
export async function testEngine() {
  let engine = await startEngine({ port: 0, http: false })
  const { port, url } = engine
  onTestFinished(() => engine.close())
  return {
    url,
    async restart() {
      await engine.close()
      engine = await startEngine({ port, http: false })
    },
  }
}

/** A worker with the unmodified SDK, without telemetry and console output, for one test. */
export function connect(url: string): IIIClient {
  for (const method of ['debug', 'error', 'warn', 'log'] as const) {
    vi.spyOn(console, method).mockImplementation(() => {})
  }
  const worker = registerWorker(url, {
    otel: { enabled: false },
    enableMetricsReporting: false,
    invocationTimeoutMs: 10_000,
    reconnectionConfig: { initialDelayMs: 20, maxDelayMs: 50 },
  })
  onTestFinished(() => worker.shutdown())
  return worker
}
