import type { Clock } from './clock.ts'
import { Fifo } from './fifo.ts'
import type { Lane } from './lane.ts'

/** How long a function is missing before somebody is told, in milliseconds. A worker that restarts is back sooner. */
const TOLD_AFTER_MS = 10_000

interface MissingFunction {
  lanes: Fifo<Lane>
  /** The lane that was released to find out, by its delivery, whether the function is back. */
  probe: Lane | undefined
  cancelTimer: () => void
  /** When it was found missing, on the monotonic clock. */
  readonly since: number
  told: boolean
}

interface MissingFunctionsOptions {
  clock: Clock
  /** How often a delivery to a missing function is tried, in milliseconds. */
  probeMs: number
  /** Called for each lane that may be delivered again. */
  release: (lane: Lane) => void
  /** Called once for a function that has been missing for {@link TOLD_AFTER_MS}. */
  onLongMissing: (functionId: string) => void
}

/**
 * Lanes whose function does not exist at the moment. They are released when somebody reports that the function is
 * there, or when a delivery of one of them, which is tried now and then, finds it.
 */
export class MissingFunctions {
  readonly #options: MissingFunctionsOptions
  readonly #missing = new Map<string, MissingFunction>()

  constructor(options: MissingFunctionsOptions) {
    this.#options = options
  }

  get names(): string[] {
    return [...this.#missing.keys()]
  }

  /** Whether `lane` has to wait for the function. The probe itself does not. */
  holds(functionId: string, lane: Lane): boolean {
    const missing = this.#missing.get(functionId)
    return missing !== undefined && missing.probe !== lane
  }

  /** Whether `lane` is the one whose delivery finds out if the function is back. */
  isProbe(functionId: string, lane: Lane): boolean {
    return this.#missing.get(functionId)?.probe === lane
  }

  /** Keeps `lane` until the function is back. */
  add(functionId: string, lane: Lane): void {
    let missing = this.#missing.get(functionId)
    if (!missing) {
      const since = this.#options.clock.monotonic()
      missing = { lanes: new Fifo(), probe: undefined, cancelTimer: () => {}, since, told: false }
      this.#missing.set(functionId, missing)
      this.#arm(functionId, missing)
    } else if (missing.probe === lane) {
      missing.probe = undefined
    }
    missing.lanes.push(lane)
  }

  /** The function is there: releases every lane that waited for it. */
  found(functionId: string): void {
    const missing = this.#missing.get(functionId)
    if (!missing) return
    this.#missing.delete(functionId)
    missing.cancelTimer()
    for (let lane = missing.lanes.shift(); lane; lane = missing.lanes.shift()) this.#release(lane)
  }

  /** Functions may have come back: tries one lane of each. */
  probe(): void {
    for (const missing of this.#missing.values()) this.#probe(missing)
  }

  clear(): void {
    for (const missing of this.#missing.values()) missing.cancelTimer()
    this.#missing.clear()
  }

  #arm(functionId: string, missing: MissingFunction): void {
    missing.cancelTimer = this.#options.clock.after(this.#options.probeMs, () => {
      this.#probe(missing)
      if (missing.lanes.size === 0 && !missing.probe) {
        this.#missing.delete(functionId)
        return
      }
      if (!missing.told && this.#options.clock.monotonic() - missing.since >= TOLD_AFTER_MS) {
        missing.told = true
        this.#options.onLongMissing(functionId)
      }
      this.#arm(functionId, missing)
    })
  }

  #probe(missing: MissingFunction): void {
    if (missing.probe && missing.probe.state !== 'dropped') return
    missing.probe = undefined
    for (let lane = missing.lanes.shift(); lane; lane = missing.lanes.shift()) {
      if (lane.state !== 'missing') continue
      missing.probe = lane
      this.#release(lane)
      return
    }
  }

  #release(lane: Lane): void {
    if (lane.state === 'missing') this.#options.release(lane)
  }
}
