/** Time as the supervisor sees it; tests set it by hand. */
export interface Clock {
  /** A clock that never jumps, in milliseconds. */
  monotonic(): number
  /** Calls `callback` once after `ms` milliseconds. @returns a function that prevents it */
  after(ms: number, callback: () => void): () => void
}

/** The time of the machine. */
export const systemClock: Clock = {
  monotonic: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
}
