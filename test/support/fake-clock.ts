import type { Clock } from '../../src/queue/clock.ts'

/** A clock that moves only when it is told to. */
export class FakeClock implements Clock {
  /** Added to the monotonic time to give the wall clock; change it to make the wall clock jump. */
  wallOffset = 1_700_000_000_000
  #elapsed = 0
  readonly #timers = new Set<{ at: number; run: () => void }>()

  now(): number {
    return this.#elapsed + this.wallOffset
  }

  monotonic(): number {
    return this.#elapsed
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#elapsed + ms, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Lets `ms` pass: everything that falls due runs, in the order of its time. */
  advance(ms: number): void {
    const end = this.#elapsed + ms
    for (let next = this.#nextUpTo(end); next; next = this.#nextUpTo(end)) {
      this.#elapsed = next.at
      this.#timers.delete(next)
      next.run()
    }
    this.#elapsed = end
  }

  /** Lets `ms` pass as for a process that is stopped meanwhile: what fell due runs late, and once. */
  sleep(ms: number): void {
    this.#elapsed += ms
    const due = [...this.#timers].filter(({ at }) => at <= this.#elapsed).toSorted((a, b) => a.at - b.at)
    for (const timer of due) if (this.#timers.delete(timer)) timer.run()
  }

  #nextUpTo(end: number): { at: number; run: () => void } | undefined {
    const due = [...this.#timers].filter(({ at }) => at <= end)
    return due.toSorted((a, b) => a.at - b.at)[0]
  }
}
