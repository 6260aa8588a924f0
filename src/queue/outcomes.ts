import { isCqrsError } from '../kernel/errors.ts'
import type { RunnerOptions } from './runner.ts'

interface OutcomesOptions extends Pick<RunnerOptions, 'queue' | 'clock' | 'log' | 'storeRetryMs'> {
  /** Called whenever an outcome has been stored. */
  onSettled: () => void
}

/** Stores how deliveries ended. If the store fails, it tries again: the function has run, so giving up would run it again. */
export class Outcomes {
  readonly #options: OutcomesOptions
  #pending = 0
  #ended = false
  /** Moves to the dead letters that are under way, or failed and will be tried again; calling one tries it now. */
  readonly #moves = new Set<() => Promise<void>>()
  /** Moves that wait until a change has ended; undefined if there is none. */
  #postponed: (() => void)[] | undefined

  constructor(options: OutcomesOptions) {
    this.#options = options
  }

  /** How many are not stored yet. */
  get pending(): number {
    return this.#pending
  }

  /** Nothing is stored any more, because another queue may soon have the same name. */
  end(): void {
    this.#ended = true
  }

  /** Stores the outcomes of `count` deliveries; `settled` gets what the store answered. */
  store<Written>(write: () => Promise<Written>, settled: (written: Written) => void, count = 1): void {
    this.#pending += count
    this.#begin(write, (written) => {
      this.#pending -= count
      settled(written)
    })
  }

  /** Moves a message to the dead letters; waits while a change is {@link apart} from such moves. */
  move(write: () => Promise<boolean>, settled: (isThere: boolean) => void): void {
    this.#pending += 1
    const begin = () => {
      const attempt = this.#begin(write, (isThere) => {
        this.#moves.delete(attempt)
        this.#pending -= 1
        settled(isThere)
      })
      this.#moves.add(attempt)
    }
    if (this.#postponed) this.#postponed.push(begin)
    else begin()
  }

  /**
   * Carries out a change that may put dead letters back; one at a time. No move to the dead letters is under way
   * meanwhile: if its answer was lost, repeating it after the change would make a letter of a message that was put back.
   *
   * @throws CqrsError the error of the store if a move cannot be finished; then nothing is changed
   */
  async apart<Result>(change: () => Promise<Result>): Promise<Result> {
    const postponed: (() => void)[] = []
    this.#postponed = postponed
    try {
      await Promise.all([...this.#moves].map((attempt) => attempt()))
      return await change()
    } finally {
      this.#postponed = undefined
      for (const begin of postponed) begin()
    }
  }

  /** Returns a function that tries at once, unless a try is under way; it rejects if that one fails. */
  #begin<Written>(write: () => Promise<Written>, settled: (written: Written) => void): () => Promise<void> {
    const { queue, log, clock, storeRetryMs, onSettled } = this.#options
    let trying: Promise<void> | undefined
    let cancelRetry = () => {}
    const onStored = (written: Written): void => {
      settled(written)
      onSettled()
    }
    const onError = (error: unknown): never => {
      trying = undefined
      if (!isCqrsError(error, 'CQRS_CLOSED')) {
        log.error({ queue, err: error }, 'the outcome of a delivery could not be stored; trying again')
        cancelRetry = clock.after(storeRetryMs, retry)
      }
      throw error
    }
    const attempt = (): Promise<void> => {
      cancelRetry()
      trying ??= this.#ended ? Promise.resolve() : write().then(onStored, onError)
      return trying
    }
    const retry = (): void => void attempt().catch(() => {})
    retry()
    return attempt
  }
}
