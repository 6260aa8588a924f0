import { setTimeout as delay } from 'node:timers/promises'

/** How long something is measured. */
export interface Span {
  readonly seconds: number
  /** Ends it early. */
  readonly signal?: AbortSignal
}

/**
 * Closed loop: each of `callers` does the next piece of work when the one before has ended. For
 * saturation; latencies under it say how long the queue in front of the system is.
 */
export async function closedLoop(
  callers: number,
  { seconds, signal }: Span,
  work: (caller: number) => Promise<void>,
): Promise<{ done: number; seconds: number }> {
  const began = performance.now()
  const end = began + seconds * 1_000
  let done = 0
  const call = async (caller: number) => {
    while (performance.now() < end && !signal?.aborted) {
      await work(caller)
      done += 1
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)))
  return { done, seconds: (performance.now() - began) / 1_000 }
}

/**
 * Open loop: work begins at a fixed rate, however long the earlier pieces take, and each is told when it
 * should have begun. Latency counted from there has no coordinated omission: a stall of the system, or of
 * this process, lengthens every piece that fell into it.
 */
export async function openLoop(
  rate: number,
  { seconds, signal }: Span,
  work: (due: number) => Promise<void>,
): Promise<{ done: number; seconds: number }> {
  const began = performance.now()
  const total = Math.floor(rate * seconds)
  const underWay = new Set<Promise<void>>()
  let started = 0
  let done = 0
  while (started < total && !signal?.aborted) {
    const due = Math.min(total, Math.floor(((performance.now() - began) * rate) / 1_000) + 1)
    for (; started < due; started += 1) {
      const piece = work(began + (started * 1_000) / rate).then(() => {
        done += 1
        underWay.delete(piece)
      })
      underWay.add(piece)
    }
    await delay(1)
  }
  await Promise.all(underWay)
  return { done, seconds: (performance.now() - began) / 1_000 }
}
