import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { dataPaths } from '../config/paths.ts'
import { type EngineOptions, startEngine } from '../engine/engine.ts'
import { workerSecret } from '../workers/link/worker-secret.ts'
import { giveSignsOfLife, type HostProcess, reportReady, stopRequested } from './supervised.ts'

/** What {@link runEngine} needs. */
export interface EngineProcessOptions {
  readonly config: Config
  readonly log: Logger
  readonly host: HostProcess
}

/**
 * Runs the embedded engine in this process until it is told to stop.
 *
 * @throws CqrsError CQRS_PORT_TAKEN, or a store error of its state
 */
export async function runEngine({ config, log, host }: EngineProcessOptions): Promise<void> {
  const stop = stopRequested(host)
  const endSigns = giveSignsOfLife(host, config.hangMs)
  const secret = workerSecret(config)
  const { close, ...addresses } = await startEngine({ ...engineOptions(config, log), secret })
  if (secret !== undefined) {
    log.info(
      {
        host: config.engine.host,
        file: config.secrets.workerSecret ? undefined : dataPaths(config.data).workerSecret,
      },
      'the engine accepts connections from other machines, so it asks workers for a secret: set CQRS_WORKER_SECRET where they run',
    )
  }
  reportReady(host, addresses)
  log.info({ reason: await stop }, 'stopping')
  await close()
  endSigns()
}

function engineOptions({ data, engine, http, otlpEndpoint }: Config, logger: Logger): EngineOptions {
  return {
    host: engine.host,
    port: engine.port,
    limits: { handshakeTimeoutMs: engine.handshakeTimeoutMs },
    http: engine.httpEnabled && { ...http, middleware: engine.httpMiddleware },
    state: engine.stateEnabled && { path: dataPaths(data).state, maxValueBytes: engine.stateMaxValueBytes },
    pubsub: engine.pubsubEnabled,
    otlpEndpoint: otlpEndpoint === 'none' ? undefined : otlpEndpoint,
    logger,
  }
}
