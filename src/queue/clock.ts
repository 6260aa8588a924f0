import { setTimeout as setNodeTimeout } from 'node:timers'

/** Time as the queue sees it; tests bring their own. */
export interface Clock {
  /** The wall clock, in milliseconds since the epoch; may jump. For what is stored. */
  now(): number
  /** A clock that never jumps, in milliseconds. For waiting. */
  monotonic(): number
  /** Calls `run` once after `ms`; the returned function cancels. */
  after(ms: number, run: () => void): () => void
}

/** The clocks of this machine. A running timer does not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, run) => {
    const timer = setNodeTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
