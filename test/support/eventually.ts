import { setImmediate as turn } from 'node:timers/promises'

/** Waits, turn by turn of the event loop, until `condition` holds; fails after `ms` of real time. */
export async function eventually(condition: () => boolean, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${condition}`)
    await turn()
  }
}
