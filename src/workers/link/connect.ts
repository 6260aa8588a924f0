import { setImmediate as turnEnds } from 'node:timers/promises'
import { type IIIClient, registerWorker } from 'iii-sdk'
import type { Logger } from 'pino'
import type { Config } from '../../config/config.ts'
import { writeOncePerTurn } from './one-write-per-turn.ts'
import { redirectSdkOutput, type SdkOutputOptions } from './sdk-output.ts'
import { workerSecret } from './worker-secret.ts'

/**
 * Connects this process to the engine with the SDK. It returns at once; the SDK connects and reconnects in the
 * background. Call it only once per process: a second client of the SDK would keep the process from exiting.
 *
 * @param name the name of the worker on the engine
 * @param options how to react to what the SDK reports
 */
export function connect(
  config: Config,
  name: string,
  log: Logger,
  options: SdkOutputOptions = {},
): IIIClient {
  writeOncePerTurn(config.engine.url)
  redirectSdkOutput(globalThis.console, log, options)
  const secret = workerSecret(config)
  // The SDK reads this at each call. Capturing payloads would cost a third of the throughput.
  if (!config.telemetry) process.env.III_DISABLE_TRACE_PAYLOADS ??= '1'
  return registerWorker(config.engine.url, {
    workerName: name,
    ...(secret === undefined ? {} : { headers: { 'x-iii-worker-secret': secret } }),
    workerDescription: 'A worker of iii-durable-cqrs.',
    enableMetricsReporting: config.telemetry,
    otel: { enabled: config.telemetry, serviceName: process.env.OTEL_SERVICE_NAME ?? name },
    reconnectionConfig: { initialDelayMs: 100, maxDelayMs: 2_000 },
  })
}

/**
 * Ends the connection. When it resolves, everything that was sent before has left the process, so that the process may
 * exit.
 */
export async function disconnect(iii: IIIClient): Promise<void> {
  await iii.shutdown()
  await turnEnds()
}
