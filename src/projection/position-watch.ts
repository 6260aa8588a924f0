import type { Position } from '../kernel/position.ts'

export interface PositionWatchOptions {
  /** Reads the position of the view. */
  read: () => Promise<Position>
  /** How often to read it while somebody waits, in milliseconds. */
  pollMs: number
}

interface Waiter {
  readonly position: Position
  settle(reached: boolean): void
}

/**
 * Lets readers of a view wait until it has reached a position. All waiters share one read of the position; while nobody
 * waits, nothing is read.
 */
export class PositionWatch {
  readonly #options: PositionWatchOptions
  readonly #waiters = new Set<Waiter>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: PositionWatchOptions) {
    this.#options = options
  }

  /** Whether the view reached `position` within `timeoutMs`. A read that fails counts as "not yet". */
  async reached(position: Position, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const deadline = setTimeout(() => waiter.settle(false), timeoutMs)
      const waiter: Waiter = {
        position,
        settle: (reached) => {
          clearTimeout(deadline)
          this.#waiters.delete(waiter)
          resolve(reached)
        },
      }
      this.#waiters.add(waiter)
      this.#timer ??= setTimeout(() => void this.#look(), 1)
    })
  }

  async #look(): Promise<void> {
    const position = await this.#options.read().catch(() => 0)
    for (const waiter of this.#waiters) if (waiter.position <= position) waiter.settle(true)
    this.#timer =
      this.#waiters.size > 0 ? setTimeout(() => void this.#look(), this.#options.pollMs) : undefined
  }
}
