import { ENGINE_WORKER, offerEngineFunctions } from './engine-functions.ts'
import { FrameRouter } from './frame-router.ts'
import { HTTP_WORKER, HttpWorker } from './http/server.ts'
import { Hub } from './hub.ts'
import { type BuiltinWorker, WorkerDirectory } from './introspection/workers.ts'
import { listen } from './listen.ts'
import { type EngineOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import { offerPubSub, PUBSUB_WORKER } from './pubsub.ts'
import { STATE_WORKER, StateWorker } from './state/worker.ts'
import { TelemetryRelay } from './telemetry.ts'
import { WorkerListener } from './worker-listener.ts'

export type { EngineOptions } from './options.ts'

/** The version of the iii engine whose protocol and behaviour this engine follows. */
const ENGINE_VERSION = '0.22.1'

/** If the engine binds one of these addresses, all its workers run on this machine. */
const LOOPBACK = ['127.0.0.1', 'localhost', '::1']

/** A running engine. */
export interface Engine {
  /** Where workers connect: `ws://127.0.0.1:49134`. */
  readonly url: string
  readonly port: number
  /** Where HTTP is served; undefined if it is switched off. */
  readonly httpUrl: string | undefined
  readonly httpPort: number | undefined
  /** Cuts all connections, stores the state that was written, and frees the ports. */
  close(): Promise<void>
}

/**
 * Starts an iii engine in this process: it routes calls between workers, serves HTTP, keeps state, and publishes
 * messages.
 *
 * @throws CqrsError `CQRS_PORT_TAKEN`, or the reason why the state file cannot be opened; nothing is left running then
 */
export async function startEngine(options: EngineOptions = {}): Promise<Engine> {
  const resolved = resolveOptions(options)
  const parts: { close(): void | Promise<void> }[] = []
  const closeAll = async (): Promise<void> => {
    for (const part of parts.splice(0)) await part.close()
  }
  try {
    return await start(resolved, parts, closeAll)
  } catch (error) {
    await closeAll()
    throw error
  }
}

async function start(
  options: ResolvedOptions,
  parts: { close(): void | Promise<void> }[],
  close: () => Promise<void>,
): Promise<Engine> {
  const hub = new Hub(options.logger)
  const directory = new WorkerDirectory(hub, builtinWorkers(options), options.now(), ENGINE_VERSION)
  parts.push({ close: offerEngineFunctions(hub, directory, options.limits.functionsChangedDelayMs) })
  if (options.pubsub) offerPubSub(hub)
  const http = options.http === undefined ? undefined : new HttpWorker(hub, options.http)
  const { otlpEndpoint } = options
  const telemetry = otlpEndpoint === undefined ? undefined : new TelemetryRelay(otlpEndpoint, options.logger)
  const workers = new WorkerListener(
    hub,
    new FrameRouter(hub, {
      triggerAckTimeoutMs: options.limits.triggerAckTimeoutMs,
      maxBufferedBytes: options.limits.maxBufferedBytes,
      httpFunctionsAllowed: LOOPBACK.includes(options.host),
      ownership: options.ownership,
      now: options.now,
    }),
    options.limits,
    options.now,
    options.secret,
    telemetry,
  )
  // Parts are closed in this order: first the ways in, so that nothing new arrives; last the state, which was written
  // through them.
  parts.push(workers)
  if (telemetry !== undefined) parts.push(telemetry)
  if (http !== undefined) parts.push(http)
  if (options.state !== undefined) parts.push(new StateWorker(hub, options.state))

  const port = await listen(workers.server, {
    host: options.host,
    port: options.port,
    what: 'the engine',
    howToChange: 'Set another port for the engine in its configuration, and the same in III_URL for workers.',
  })
  const httpPort =
    http === undefined || options.http === undefined
      ? undefined
      : await listen(http.server, {
          host: options.http.host,
          port: options.http.port,
          what: 'HTTP',
          howToChange: 'Set another port for HTTP in the configuration.',
        })
  const url = `ws://${hostInUrl(options.host)}:${port}`
  const httpUrl =
    httpPort === undefined ? undefined : `http://${hostInUrl(options.http?.host ?? '')}:${httpPort}`
  options.logger.info({ url, httpUrl }, 'engine started')
  return { url, port, httpUrl, httpPort, close }
}

function builtinWorkers(options: ResolvedOptions): BuiltinWorker[] {
  const workers: BuiltinWorker[] = [
    {
      name: ENGINE_WORKER,
      description: 'Gives information on functions, triggers and workers.',
      functionPrefixes: ['engine::'],
      triggerTypes: [],
    },
    {
      name: 'iii-worker-manager',
      description: 'Accepts the connections of workers.',
      functionPrefixes: [],
      triggerTypes: [],
    },
  ]
  if (options.http !== undefined) {
    workers.push({
      name: HTTP_WORKER,
      description: 'Serves functions over HTTP.',
      functionPrefixes: [],
      triggerTypes: ['http'],
    })
  }
  if (options.state !== undefined) {
    workers.push({
      name: STATE_WORKER,
      description: 'Keeps values by scope and key.',
      functionPrefixes: ['state::'],
      triggerTypes: ['state'],
    })
  }
  if (options.pubsub) {
    workers.push({
      name: PUBSUB_WORKER,
      description: 'Publishes messages to topics.',
      functionPrefixes: ['publish'],
      triggerTypes: ['subscribe'],
    })
  }
  return workers
}

function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
