/**
 * Runs pieces of work at the same time: those of one lane one after the other, in the order in which they came, and those
 * of different lanes at once, as far as there is room.
 */
export class Lanes {
  readonly #atOnce: number
  /** By lane: the end of what came last. */
  readonly #last = new Map<string, Promise<void>>()
  #running = 0
  /** Those that wait for room, in the order in which their turn came. */
  readonly #waiting: (() => void)[] = []

  /** @param atOnce how many pieces of work run at most at the same time */
  constructor(atOnce: number) {
    this.#atOnce = atOnce
  }

  /** Runs `work` in a lane. @returns a promise that resolves when it has ended; rejects if it does */
  run(lane: string, work: () => Promise<void>): Promise<void> {
    const before = this.#last.get(lane) ?? Promise.resolve()
    const turn = before.then(() => this.#withRoom(work))
    const end = turn
      .catch(() => undefined)
      .then(() => {
        if (this.#last.get(lane) === end) this.#last.delete(lane)
      })
    this.#last.set(lane, end)
    return turn
  }

  async #withRoom(work: () => Promise<void>): Promise<void> {
    if (this.#running < this.#atOnce) this.#running += 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      await work()
    } finally {
      // Whoever waits takes over the room.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running -= 1
    }
  }
}
