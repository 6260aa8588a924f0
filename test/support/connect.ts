import { type IIIClient, registerWorker } from 'iii-sdk'
import { onTestFinished, vi } from 'vitest'

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
