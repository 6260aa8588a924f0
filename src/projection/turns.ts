/**
 * Runs pieces of work one at a time, in the order in which they came. The projections of a process share one instance,
 * so that only one trial is open while handlers run: if the process ends, no other event is blamed.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `work` after all that came before has ended, however it ended. */
  run<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}
