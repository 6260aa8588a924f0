import { isStoreFailure } from '../../sqlite/errors.ts'
import type { EngineLogger } from '../logger.ts'
import { failure, type Outcome } from '../outcome.ts'
import type { StateStore } from './store.ts'

/** The answer to a write, and what to do once it is stored. */
export interface WriteResult {
  readonly outcome: Outcome
  readonly after: () => void
}

interface Task {
  readonly writes: boolean
  readonly run: () => WriteResult
  readonly resolve: (outcome: Outcome) => void
}

const FAILED = failure(
  'STATE_ERROR',
  'The state could not be read or written; the log of the engine says why.',
)

/**
 * Runs the reads and writes that arrive in one turn of the event loop, in order, as one transaction, and answers them
 * after its commit. So one sync to disk serves all of them.
 */
export class StateQueue {
  readonly #store: StateStore
  readonly #logger: EngineLogger
  #tasks: Task[] = []

  constructor(store: StateStore, logger: EngineLogger) {
    this.#store = store
    this.#logger = logger
  }

  read(run: () => Outcome): Promise<Outcome> {
    return this.#add(false, () => ({ outcome: run(), after: nothing }))
  }

  write(run: () => WriteResult): Promise<Outcome> {
    return this.#add(true, run)
  }

  /** Runs the tasks that are waiting, now. */
  flush(): void {
    const tasks = this.#tasks
    this.#tasks = []
    if (tasks.length > 0) this.#run(tasks)
  }

  #run(tasks: readonly Task[]): void {
    const runAll = (): WriteResult[] => tasks.map((task) => task.run())
    let results: WriteResult[]
    try {
      results = tasks.some((task) => task.writes) ? this.#store.transaction(runAll) : runAll()
    } catch (error) {
      // One of them failed, and all were rolled back. Run each on its own, so that only the culprit fails.
      if (tasks.length > 1 && !isStoreFailure(error)) {
        for (const task of tasks) this.#run([task])
        return
      }
      this.#logger.error({ err: error }, 'state could not be read or written')
      for (const task of tasks) task.resolve(FAILED)
      return
    }
    for (const [index, result] of results.entries()) {
      tasks[index]?.resolve(result.outcome)
      result.after()
    }
  }

  #add(writes: boolean, run: () => WriteResult): Promise<Outcome> {
    return new Promise((resolve) => {
      if (this.#tasks.length === 0) setImmediate(() => this.flush())
      this.#tasks.push({ writes, run, resolve })
    })
  }
}

function nothing(): void {}
