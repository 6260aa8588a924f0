import { setTimeout as delay } from 'node:timers/promises'

export interface RepeatOptions {
  /** The time between the end of one run and the beginning of the next, in milliseconds. */
  readonly intervalMs: number
  /** The wait doubles with each failure in a row, at most up to this, in milliseconds. */
  readonly capMs: number
  /** Ends the repetition when it is aborted. */
  readonly signal: AbortSignal
  /** Called after a failure, unless the run before it failed in the same way. */
  onFailure(error: unknown): void
  /** Called when a run succeeds again. */
  onRecovery(): void
  /** Resolves after `ms` milliseconds, or when the signal is aborted. Default: a timer. */
  sleep?(ms: number, signal: AbortSignal): Promise<void>
}

/**
 * Runs `work` again and again, one run at a time, until the signal is aborted. Resolves when the last run has ended.
 */
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
