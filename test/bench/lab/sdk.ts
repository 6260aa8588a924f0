import { type IIIClient, registerWorker } from 'iii-sdk'

/** Connects this process to an engine as the workers of the system do: without telemetry. Once per process. */
export function connectSdk(engine: string, name: string): IIIClient {
  process.env.III_DISABLE_TRACE_PAYLOADS = '1'
  // The SDK tells of its connection on the console, where the results go.
  for (const method of ['debug', 'warn', 'error', 'log', 'info'] as const)
    globalThis.console[method] = () => {}
  return registerWorker(engine, {
    workerName: name,
    enableMetricsReporting: false,
    otel: { enabled: false },
    reconnectionConfig: { initialDelayMs: 100, maxDelayMs: 2_000 },
  })
}
