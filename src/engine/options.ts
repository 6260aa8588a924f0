import type { EngineLogger } from './logger.ts'
import { silentLogger } from './logger.ts'

/** The header of a worker's handshake that carries the secret of the engine. */
export const SECRET_HEADER = 'x-iii-worker-secret'

/** Limits on what workers may do to the engine. */
export interface WorkerLimits {
  /** Longest frame in bytes; a longer one closes its connection with 1009. Default 16 MiB. */
  readonly maxFrameBytes: number
  /** Bytes that may wait for a worker that does not read them; beyond that it is cut off. Default 64 MiB. */
  readonly maxBufferedBytes: number
  /** Deepest nesting of a frame, its own object included. Default 127, as in the real engine. */
  readonly maxDepth: number
  /** Time for a connection to send its headers. Default 10,000 ms. */
  readonly handshakeTimeoutMs: number
  /** How long a connection may give no sign of life, pongs included, before it is cut. Default 60,000 ms. */
  readonly silentMs: number
  /** How long `engine::register_trigger` waits for the provider of a type. Default 10,000 ms. */
  readonly triggerAckTimeoutMs: number
  /** How long changes of the set of functions are gathered into one event. Default 100 ms. */
  readonly functionsChangedDelayMs: number
}

/** A function that sees every HTTP request before its route's function does. */
export interface HttpMiddleware {
  readonly functionId: string
  /** Lower runs first. */
  readonly priority: number
}

/** Which web pages of other origins may use the HTTP routes. */
export interface CorsOptions {
  /** Origins such as `https://shop.example.com`; if it is empty or contains `*`: any. */
  readonly allowedOrigins: readonly string[]
  /** Methods such as `POST`; empty: any. */
  readonly allowedMethods: readonly string[]
}

/** How the engine serves HTTP. */
export interface HttpOptions {
  /** Interface to bind. Default 127.0.0.1. */
  readonly host: string
  /** Default 3111; 0 lets the system choose. */
  readonly port: number
  /** Time for a request to be answered; then 504. Default 30,000 ms. */
  readonly defaultTimeoutMs: number
  /** Most requests in flight; any more get 503. Default 1,024. */
  readonly concurrencyRequestLimit: number
  /** Largest request body in bytes; a larger one gets 413. Default 1 MiB. */
  readonly maxBodyBytes: number
  /** Deepest nesting of a JSON body; deeper gets 400. Default 120, so that it fits into a frame. */
  readonly maxDepth: number
  /** Time to send the headers of a request. Default 10,000 ms. */
  readonly headersTimeoutMs: number
  /** Time to send a whole request, body included. Default 30,000 ms. */
  readonly requestTimeoutMs: number
  /** Time an idle connection is kept. Default 5,000 ms. */
  readonly keepAliveTimeoutMs: number
  /**
   * How long a route that was removed, together with its trigger or its worker, answers 503 before it answers 404.
   * Default 0: 404 at once, as in the real engine.
   */
  readonly awayRouteMs: number
  /**
   * How long after its start the engine answers 503 instead of 404, because its workers are still connecting. Default
   * 0.
   */
  readonly startingMs: number
  /** Functions that run before every route, lower priority first. Default none. */
  readonly middleware: readonly HttpMiddleware[]
  /** Default none: no page of another origin may read the answers, unlike in the real engine. */
  readonly cors: CorsOptions | undefined
}

/** How the engine keeps state. */
export interface StateOptions {
  /** The SQLite file. Default none: the state lives in memory and ends with the engine. */
  readonly path: string | undefined
  /** Largest value that is kept, in bytes of JSON. Default 16 MiB. */
  readonly maxValueBytes: number | undefined
}

/** Which of two live workers keeps a function that both register. */
export type Ownership = 'last' | 'first'

/** What {@link startEngine} takes; everything has a default. */
export interface EngineOptions {
  /** Interface that workers connect to. Default 127.0.0.1. */
  readonly host?: string
  /** Port that workers connect to. Default 49134; 0 lets the system choose. */
  readonly port?: number
  /** The secret that workers must send in the header {@link SECRET_HEADER}. Default none: no secret is required. */
  readonly secret?: string | undefined
  /** `false` serves no HTTP. */
  readonly http?: Partial<HttpOptions> | false
  /** `false` offers no state. */
  readonly state?: Partial<StateOptions> | false
  /** `false` offers no publish and subscribe. */
  readonly pubsub?: boolean
  /** The collector for the telemetry of workers, e.g. `http://127.0.0.1:4318`. Default none: telemetry is dropped. */
  readonly otlpEndpoint?: string | undefined
  /**
   * Which of two workers that register the same function keeps it. Default `last`, as in iii 0.22; in iii 0.23 the
   * `first` keeps it.
   */
  readonly ownership?: Ownership
  readonly limits?: Partial<WorkerLimits>
  readonly logger?: EngineLogger
  /** The clock, in ms since 1970. */
  readonly now?: () => number
}

/** {@link EngineOptions} with every default filled in. */
export interface ResolvedOptions {
  readonly host: string
  readonly port: number
  readonly secret: string | undefined
  readonly http: HttpOptions | undefined
  readonly state: StateOptions | undefined
  readonly pubsub: boolean
  readonly otlpEndpoint: string | undefined
  readonly ownership: Ownership
  readonly limits: WorkerLimits
  readonly logger: EngineLogger
  readonly now: () => number
}

const MIB = 1024 * 1024

const LIMITS: WorkerLimits = {
  maxFrameBytes: 16 * MIB,
  maxBufferedBytes: 64 * MIB,
  maxDepth: 127,
  handshakeTimeoutMs: 10_000,
  silentMs: 60_000,
  triggerAckTimeoutMs: 10_000,
  functionsChangedDelayMs: 100,
}

const HTTP: HttpOptions = {
  host: '127.0.0.1',
  port: 3111,
  defaultTimeoutMs: 30_000,
  concurrencyRequestLimit: 1_024,
  maxBodyBytes: MIB,
  maxDepth: 120,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 5_000,
  awayRouteMs: 0,
  startingMs: 0,
  middleware: [],
  cors: undefined,
}

const STATE: StateOptions = { path: undefined, maxValueBytes: undefined }

/** Fills in the defaults. */
export function resolveOptions(options: EngineOptions): ResolvedOptions {
  return {
    host: options.host ?? '127.0.0.1',
    port: options.port ?? 49134,
    secret: options.secret,
    http: options.http === false ? undefined : { ...HTTP, ...options.http },
    state: options.state === false ? undefined : { ...STATE, ...options.state },
    pubsub: options.pubsub ?? true,
    otlpEndpoint: options.otlpEndpoint,
    ownership: options.ownership ?? 'last',
    limits: { ...LIMITS, ...options.limits },
    logger: options.logger ?? silentLogger,
    now: options.now ?? Date.now,
  }
}
