/** Time as the supervisor sees it; replaced by hand in tests. */
export interface Clock {
  /** Milliseconds that only ever grow. */
  now(): number
  /** Calls `callback` once after `ms`. Returns a function that prevents it. */
  after(ms: number, callback: () => void): () => void
}

/** The time of the machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
}
