import type { EngineLogger } from './logger.ts'

/** What workers send as telemetry begins with one of these; the rest is OTLP in JSON. Each has its path at a collector. */
const PATHS = new Map([
  ['OTLP', 'v1/traces'],
  ['MTRC', 'v1/metrics'],
  ['LOGS', 'v1/logs'],
])

const PREFIX_BYTES = 4

/** Exports under way at the same time; what comes beyond them is dropped, so that a slow collector costs no memory. */
const MAX_UNDER_WAY = 32

/** How long a collector may take for one export, in milliseconds. */
const TIMEOUT_MS = 2_000

/** Whether a binary frame is telemetry. */
export function isTelemetry(frame: Buffer): boolean {
  return PATHS.has(frame.toString('latin1', 0, PREFIX_BYTES))
}

/**
 * Passes the telemetry of workers on to a collector that speaks OTLP over HTTP in JSON. Nobody waits for it and
 * nothing is sent again: it may be lost, and must hold up nothing.
 */
export class TelemetryRelay {
  readonly #endpoint: string
  readonly #logger: EngineLogger
  readonly #underWay = new Set<Promise<void>>()
  /** Frames that did not arrive since one last did. */
  #lost = 0

  /** @param endpoint the base address of the collector, e.g. `http://127.0.0.1:4318` */
  constructor(endpoint: string, logger: EngineLogger) {
    this.#endpoint = endpoint.replace(/\/*$/, '/')
    this.#logger = logger
  }

  /** Takes one frame; what is no telemetry is dropped. Returns at once. */
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

  /** Waits for what is under way. */
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

  /** Says once that telemetry is lost, not for each frame. */
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
