/** Waits that double from `baseMs` to `capMs`. */
export interface BackoffOptions {
  readonly baseMs: number
  readonly capMs: number
}

/** Exponential backoff. It needs no jitter, because one machine does not restart processes in herds. */
export class Backoff {
  readonly #options: BackoffOptions
  #failures = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  /** Counts a failure. @returns how long to wait before the next try, in milliseconds */
  next(): number {
    const { baseMs, capMs } = this.#options
    const wait = Math.min(capMs, baseMs * 2 ** Math.min(this.#failures, 30))
    this.#failures += 1
    return wait
  }

  /** Forgets the failures. */
  reset(): void {
    this.#failures = 0
  }
}
