import { until as wait } from '../../src/chaos/until.ts'

/** Ends a wait that would never end, no more: machines that run tests are busy, and a test may start many processes. */
const PATIENCE_MS = 30_000

/** The `until` of the program, with the patience of a test. */
export function until<T>(what: string, check: () => T | Promise<T>, timeoutMs = PATIENCE_MS) {
  return wait(what, check, timeoutMs)
}

/** {@link until} for a condition that says itself what it waits for. */
export async function eventually(condition: () => boolean, timeoutMs = PATIENCE_MS): Promise<void> {
  await until(String(condition), condition, timeoutMs)
}
