import type { EngineLogger } from './logger.ts'

/**
 * A telemetry frame begins with one of these prefixes; the rest is OTLP in JSON. Each prefix has its path at the
 * collector.
 */
const PATHS = new Map([
  ['OTLP', 'v1/traces'],
  ['MTRC', 'v1/metrics'],
  ['LOGS', 'v1/logs'],
])

const PREFIX_BYTES = 4

/**
 * Most exports under way at the same time. Further frames are dropped, so that a slow collector does not fill the
 * memory.
 */
const MAX_UNDER_WAY = 32

/** How long a collector may take for one export, in milliseconds. */
const TIMEOUT_MS = 2_000

/** Whether a binary frame is telemetry. */
export function isTelemetry(frame: Buffer): boolean {
  return PATHS.has(frame.toString('latin1', 0, PREFIX_BYTES))
}

/**
 * Passes the telemetry of workers on to a collector that speaks OTLP over HTTP in JSON. Nothing waits for an export,
 * and a failed one is not repeated: telemetry may be lost, but must not hold up anything.
 */
export class TelemetryRelay {
  readonly #endpoint: string
  readonly #logger: EngineLogger
  readonly #underWay = new Set<Promise<void>>()
  /** Frames that were lost since the collector last took one. */
  #lost = 0

  /** @param endpoint the base address of the collector, e.g. `http://127.0.0.1:4318` */
  constructor(endpoint: string, logger: EngineLogger) {
    this.#endpoint = endpoint.replace(/\/*$/, '/')
    this.#logger = logger
  }

  /** Forwards one frame, and returns at once. A frame that is not telemetry is dropped. */
  take(frame: Buffer): void {
    const path = PATHS.get(frame.toString('latin1', 0, PREFIX_BYTES))
    if (path === undefined) return
    if (this.#underWay.size >= MAX_UNDER_WAY) {
      this.#failed(`${MAX_UNDER_WAY} exports are under way already`)
      return
    }
    const sent = this.#send(path, frame.subarray(PREFIX_BYTES)).finally(() => this.#underWay.delete(sent))
    this.#underWay.add(sent)
  }

  /** Waits for the exports that are under way. */
  async close(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  async #send(path: string, body: Buffer): Promise<void> {
    try {
      const response = await fetch(`${this.#endpoint}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: new Uint8Array(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      await response.body?.cancel()
      if (!response.ok) return this.#failed(`it answered ${response.status}`)
      if (this.#lost > 0) this.#logger.info({ lost: this.#lost }, 'the collector takes telemetry again')
      this.#lost = 0
    } catch (error) {
      const { message, cause } = error as Error
      this.#failed(cause instanceof Error ? cause.message || message : message)
    }
  }

  /** Logs once that telemetry is being lost, not for each frame. */
  #failed(reason: string): void {
    if (this.#lost === 0) {
      const about = { endpoint: this.#endpoint, reason }
      this.#logger.warn(
        about,
        'the collector does not take telemetry, which is lost; see OTEL_EXPORTER_OTLP_ENDPOINT',
      )
    }
    this.#lost += 1
  }
}
