/** What the latencies of one run come to, in milliseconds. */
export interface LatencySummary {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Collects latencies in milliseconds, every one of them. */
export class Latencies {
  readonly #values: number[] = []

  add(ms: number): void {
    this.#values.push(ms)
  }

  summary(): LatencySummary {
    const sorted = Float64Array.from(this.#values).sort()
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 }
  }
}

/** The wall clock in milliseconds with fractions, comparable between the processes of one machine. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now()
}
