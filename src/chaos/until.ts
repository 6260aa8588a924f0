import { setTimeout as pause } from 'node:timers/promises'

/**
 * Waits until `check` gives something other than `undefined` or `false`, and returns that. A check that throws counts
 * as "not yet"; its last error is the cause when time runs out.
 *
 * @param signal ends the wait when aborted; then the promise rejects with its reason
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  timeoutMs = 10_000,
  signal?: AbortSignal,
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + timeoutMs
  let lastError: unknown
  while (performance.now() < deadline) {
    signal?.throwIfAborted()
    try {
      const value = await check()
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>
    } catch (error) {
      lastError = error
    }
    await pause(5)
  }
  throw new Error(`Waited ${timeoutMs} ms in vain until ${what}`, { cause: lastError })
}
