import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { NO_GUEST } from './guest.ts'
import { ops, projections, queries, queue } from './role-settings.ts'
import type { Secrets } from './secrets.ts'
import {
  choice,
  flag,
  httpAddress,
  milliseconds,
  name,
  port,
  settingsOf,
  text,
  wholeNumber,
} from './setting.ts'

/** The app that runs when none is configured. */
export const DEFAULT_APP = fileURLToPath(new URL('../inventory/app.ts', import.meta.url))

/** The app of a system that is only a queue. */
export const NO_APP = fileURLToPath(new URL('../kernel/no-app.ts', import.meta.url))

/**
 * Every setting, with its default, its place in iii.config.yaml and its environment variable. Times are in
 * milliseconds.
 */
export const configSchema = z.object({
  data: text('The folder of all stores; relative to the working directory.', {
    env: 'CQRS_DATA',
    default: './data',
  }),
  app: text('The module whose default export is the app, relative to the working directory; or `none`.', {
    env: 'CQRS_APP',
    default: DEFAULT_APP,
  }),
  guest: name(
    'The name under which this system shares the engine of another one, whose queue it uses; `none` if the engine is its own.',
    { env: 'CQRS_GUEST', default: NO_GUEST },
  ),
  engine: z.object({
    url: text('The engine to connect to. If it is an address, no embedded engine is started.', {
      env: 'III_URL',
      default: 'embedded',
      allowed: 'an address like ws://host:49134, or "embedded"',
    }),
    host: text('The network interface on which the engine listens for workers.', {
      env: 'III_HOST',
      at: 'iii-worker-manager.host',
      default: '127.0.0.1',
    }),
    port: port('The port on which the engine listens for workers.', {
      env: 'III_PORT',
      at: 'iii-worker-manager.port',
      default: 49_134,
    }),
    handshakeTimeoutMs: milliseconds('How long a worker may take to connect.', {
      env: 'III_HANDSHAKE_TIMEOUT_MS',
      at: 'iii-worker-manager.handshake_timeout_ms',
      default: 10_000,
    }),
  }),
  http: z.object({
    host: text('The network interface of the HTTP server.', {
      env: 'III_HTTP_HOST',
      at: 'http.host',
      default: '127.0.0.1',
    }),
    port: port('The port of the HTTP server.', { env: 'III_HTTP_PORT', at: 'http.port', default: 3111 }),
    defaultTimeoutMs: milliseconds(
      'How long a request may wait for its answer; after that the client gets 504.',
      {
        env: 'III_HTTP_DEFAULT_TIMEOUT',
        at: 'http.default_timeout',
        default: 30_000,
      },
    ),
    concurrencyRequestLimit: wholeNumber(
      'Most requests in progress at the same time, and most requests whose body is still arriving; more get 503.',
      {
        env: 'III_HTTP_CONCURRENCY_REQUEST_LIMIT',
        at: 'http.concurrency_request_limit',
        default: 1_024,
        min: 1,
        max: 100_000,
      },
    ),
    maxBodyBytes: wholeNumber('Largest body of a request, in bytes; a larger one gets 413.', {
      env: 'CQRS_HTTP_MAX_BODY_BYTES',
      default: 1_048_576,
      min: 1,
      max: 15_728_640,
    }),
    headersTimeoutMs: milliseconds('How long a client may take to send the headers.', {
      env: 'CQRS_HTTP_HEADERS_TIMEOUT_MS',
      default: 10_000,
    }),
    requestTimeoutMs: milliseconds('How long a client may take to send a whole request.', {
      env: 'CQRS_HTTP_REQUEST_TIMEOUT_MS',
      default: 30_000,
    }),
    awayRouteMs: milliseconds(
      'How long a route answers 503 with Retry-After after its worker has left; then 404. 0: 404 at once.',
      { env: 'CQRS_HTTP_AWAY_ROUTE_MS', default: 30_000, min: 0 },
    ),
    startingMs: milliseconds(
      'How long after its start the embedded engine answers 503 for a route that it does not know; then 404.',
      { env: 'CQRS_HTTP_STARTING_MS', default: 5_000, min: 0 },
    ),
  }),
  log: z.object({
    level: choice('The lowest level that is logged.', {
      env: 'CQRS_LOG_LEVEL',
      values: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
      default: 'info',
    }),
    format: choice('`auto` is `pretty` on a terminal and `json` elsewhere.', {
      env: 'CQRS_LOG_FORMAT',
      values: ['auto', 'pretty', 'json'],
      default: 'auto',
    }),
  }),
  telemetry: flag('Whether the SDK sends traces, metrics and payloads to the engine.', {
    env: 'CQRS_TELEMETRY',
    default: false,
  }),
  otlpEndpoint: httpAddress(
    'The collector (OTLP over HTTP, JSON) that receives telemetry from the embedded engine; `none` drops it.',
    { env: 'OTEL_EXPORTER_OTLP_ENDPOINT', default: 'none' },
  ),
  commands: z.object({
    conflictRetries: wholeNumber(
      'How often a command is decided again because another one changed the same stream first.',
      {
        env: 'CQRS_COMMANDS_CONFLICT_RETRIES',
        default: 10,
        min: 0,
        max: 1_000,
      },
    ),
    streamCacheSize: wholeNumber('Number of streams whose folded state is kept in memory.', {
      env: 'CQRS_COMMANDS_STREAM_CACHE_SIZE',
      default: 10_000,
      min: 0,
      max: 10_000_000,
    }),
    streamCacheBytes: wholeNumber('Memory, in bytes, that these folded states may take. Estimated.', {
      env: 'CQRS_COMMANDS_STREAM_CACHE_BYTES',
      default: 268_435_456,
      min: 1,
      max: 1_099_511_627_776,
    }),
    snapshotEvery: wholeNumber(
      'Number of events of a stream between two snapshots of its state; 0: no snapshots.',
      {
        env: 'CQRS_COMMANDS_SNAPSHOT_EVERY',
        default: 100,
        min: 0,
        max: 1_000_000,
      },
    ),
    maxWaiting: wholeNumber('Appends that may wait for the disk; more are refused with 503.', {
      env: 'CQRS_COMMANDS_MAX_WAITING',
      default: 20_000,
      min: 1,
      max: 10_000_000,
    }),
    maxEventBytes: wholeNumber(
      'Largest data of one event, in bytes of JSON; a larger one is an error, and nothing is stored.',
      {
        env: 'CQRS_COMMANDS_MAX_EVENT_BYTES',
        default: 4_194_304,
        min: 1_024,
        max: 33_554_432,
      },
    ),
    idempotencyKeyDays: wholeNumber('Days for which an idempotency key is kept; 0: for ever.', {
      env: 'CQRS_COMMANDS_IDEMPOTENCY_KEY_DAYS',
      default: 30,
      min: 0,
      max: 36_500,
    }),
  }),
  fanOut: z.object({
    timeoutMs: milliseconds('How long to wait for the queue to take a message.', {
      env: 'CQRS_FAN_OUT_TIMEOUT_MS',
      default: 5_000,
    }),
    intervalMs: milliseconds(
      'Shortest time between two messages for one projection; 0 sends as fast as possible.',
      {
        env: 'CQRS_FAN_OUT_INTERVAL_MS',
        default: 10,
        min: 0,
      },
    ),
  }),
  projections,
  queries,
  queue,
  standbyIntervalMs: milliseconds(
    'How often a worker that stands by, or that shares projections, checks for work to take over.',
    { env: 'CQRS_STANDBY_INTERVAL_MS', default: 100, min: 10 },
  ),
  ops,
  hangMs: milliseconds('How long a process may hang before it is killed and started again.', {
    env: 'CQRS_HANG_MS',
    default: 20_000,
    min: 1_000,
  }),
  linkMs: milliseconds(
    'How long the link to the engine may transmit nothing, while the engine answers others, before its process is restarted.',
    { env: 'CQRS_LINK_MS', default: 10_000, min: 300 },
  ),
  shutdownMs: milliseconds('How long the processes may take to stop; after that they are killed.', {
    env: 'CQRS_SHUTDOWN_MS',
    default: 15_000,
    min: 100,
  }),
  supervisor: z.object({
    backoffBaseMs: milliseconds(
      'Wait before a process that died is started again; doubles with each death in a row.',
      {
        env: 'CQRS_SUPERVISOR_BACKOFF_BASE_MS',
        default: 100,
      },
    ),
    backoffCapMs: milliseconds('Longest wait before a process that died is started again.', {
      env: 'CQRS_SUPERVISOR_BACKOFF_CAP_MS',
      default: 5_000,
    }),
    stableMs: milliseconds(
      'After a process was ready this long, its next restart has the shortest wait again.',
      {
        env: 'CQRS_SUPERVISOR_STABLE_MS',
        default: 10_000,
      },
    ),
    readyTimeoutMs: milliseconds(
      'How long a process may take to get ready; after that it is killed and started again.',
      {
        env: 'CQRS_SUPERVISOR_READY_TIMEOUT_MS',
        default: 30_000,
        min: 100,
      },
    ),
  }),
})

/** All settings as a flat list. */
export const SETTINGS = settingsOf(configSchema)

type DeepReadonly<Value> = Value extends object
  ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> }
  : Value

type Settings = z.output<typeof configSchema>

/** What the engine file says that is not a single value: which built-in workers run, and their lists. */
export interface EngineFeatures {
  readonly httpEnabled: boolean
  readonly stateEnabled: boolean
  readonly pubsubEnabled: boolean
  /** `http.middleware`: functions that see every request before its route does, the lowest priority first. */
  readonly httpMiddleware: readonly { readonly functionId: string; readonly priority: number }[]
  /** `state.max_value_bytes`. */
  readonly stateMaxValueBytes: number | undefined
}

/** The configuration of one process: read once, validated, frozen. Paths are absolute. */
export type Config = DeepReadonly<
  Omit<Settings, 'engine' | 'queue'> & {
    queue: Settings['queue'] & {
      /** The queues that the file defines, by name, with their settings as they were given. */
      queues: Record<string, unknown>
    }
    engine: Settings['engine'] &
      EngineFeatures & {
        /** Whether `cqrs up` starts the embedded engine; `url` is then the address of that engine. */
        embedded: boolean
      }
    secrets: Secrets
    /** The file that was read, if there was one. */
    file: string | undefined
  }
>
