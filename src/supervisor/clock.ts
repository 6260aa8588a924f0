/** Time as the supervisor sees it; tests set it by hand. */
export interface Clock {
  /** Milliseconds on a clock that never goes back. */
  now(): number
  /** Calls `callback` once after `ms` milliseconds. @returns a function that prevents it */
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
