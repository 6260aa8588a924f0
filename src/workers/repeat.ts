import { setTimeout as delay } from 'node:timers/promises'

export interface RepeatOptions {
  /** Between the end of one time and the beginning of the next, in milliseconds. */
  readonly intervalMs: number
  /** The wait doubles with each failure in a row, at most up to this, in milliseconds. */
  readonly capMs: number
  /** Ends it. */
  readonly signal: AbortSignal
  /** Told of a failure, unless the time before has failed in the same way. */
  onFailure(error: unknown): void
  /** Told when it succeeds again. */
  onRecovery(): void
  /** Resolves after so many milliseconds, or when the signal is given. Default a timer. */
  sleep?(ms: number, signal: AbortSignal): Promise<void>
}

/** Does something again and again, one at a time, until the signal is given; resolves when the last one has ended. */
export async function repeat(work: () => Promise<void>, options: RepeatOptions): Promise<void> {
  const { intervalMs, capMs, signal, onFailure, onRecovery, sleep = timer } = options
  let failures = 0
  let told: string | undefined
  while (!signal.aborted) {
    try {
      await work()
      if (failures > 0) onRecovery()
      failures = 0
      told = undefined
    } catch (error) {
      failures += 1
      if (String(error) !== told) onFailure(error)
      told = String(error)
    }
    await sleep(Math.min(intervalMs * 2 ** Math.min(failures, 30), Math.max(intervalMs, capMs)), signal)
  }
}

async function timer(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined)
}
