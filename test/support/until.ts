import { until } from '../../src/chaos/until.ts'

export { until }

/** {@link until} for a condition that says itself what it waits for; the default leaves time for real processes. */
export async function eventually(condition: () => boolean, timeoutMs = 30_000): Promise<void> {
  await until(String(condition), condition, timeoutMs)
}
