/**
 * Lets one piece of work run at a time, in the order in which they came. The projections of a process share
 * one, so that while handlers run only one trial is open: if the process ends, no other is blamed.
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
