import { setTimeout as pause } from 'node:timers/promises'

/** Waits until `condition` holds, leaving the processor to whoever makes it hold; fails after `ms` of real time. */
export async function eventually(condition: () => boolean, ms = 30_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${condition}`)
    await pause(2)
  }
}
