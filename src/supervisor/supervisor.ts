import { type ChildSurroundings, SupervisedChild } from './child.ts'
import type { ChildSpec, Exit } from './spawn.ts'
import type { EngineAddresses } from './supervised.ts'

/** Time that is reserved for stopping the engine, which stops after its workers, in milliseconds. */
const ENGINE_RESERVE_MS = 1_000

/** What {@link Supervisor} runs. */
export interface SupervisorOptions extends ChildSurroundings {
  /** The engine; undefined if one runs elsewhere. */
  readonly engine: ChildSpec | undefined
  /** The workers in groups; the groups are asked to stop one after the other, the last one first. */
  readonly workers: readonly (readonly ChildSpec[])[]
  /** Called with the engine's addresses once it listens, before workers are started. */
  onEngine?(addresses: EngineAddresses): void
}

/** The result of starting everything. */
export type Started = { ready: true } | { ready: false; child: string; exit: Exit }

/** Keeps an engine and its workers running, each as a process of its own. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #engine: SupervisedChild | undefined
  readonly #workers: readonly (readonly SupervisedChild[])[]
  #stopping: Promise<void> | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#engine = options.engine && new SupervisedChild(options.engine, options)
    this.#workers = options.workers.map((group) => group.map((spec) => new SupervisedChild(spec, options)))
  }

  /** Every process, the engine first. */
  get children(): readonly SupervisedChild[] {
    return [...(this.#engine ? [this.#engine] : []), ...this.#workers.flat()]
  }

  /**
   * Starts the engine, then all workers at once. Workers that were started before the engine would find it, too, but
   * only after some tries.
   *
   * @returns when all are ready, or one says that it never will be; never settles if stopped before
   */
  async start(): Promise<Started> {
    if (this.#engine) {
      const first = await this.#engine.start()
      if (!first.ready) return { ready: false, child: this.#engine.spec.name, exit: first.exit }
      if (first.message.engine) this.#options.onEngine?.(first.message.engine)
      if (this.#stopping) return new Promise(() => {})
    }
    return new Promise((resolve) => {
      const workers = this.#workers.flat()
      let waiting = workers.length
      if (waiting === 0) resolve({ ready: true })
      for (const worker of workers) {
        void worker.start().then((first) => {
          if (!first.ready) resolve({ ready: false, child: worker.spec.name, exit: first.exit })
          waiting -= 1
          if (waiting === 0) resolve({ ready: true })
        })
      }
    })
  }

  /**
   * Stops everything, workers before the engine, so that work in progress can be finished. Each group is asked to stop
   * when the group before it has stopped or has used up its share of the time. In the second case, both groups go on
   * stopping together. What still runs after `withinMs` is killed.
   */
  stop(withinMs: number): Promise<void> {
    this.#stopping ??= this.#stop(withinMs)
    return this.#stopping
  }

  /** Immediately kills what still runs. */
  kill(): void {
    for (const child of this.children) void child.stop(0)
  }

  async #stop(withinMs: number): Promise<void> {
    const { clock } = this.#options
    // Whoever stops this process may have stopped the others as well: a worker that ends early has done what it should
    // and is not restarted. The engine is still restarted until the end, because workers need it to finish work in
    // progress.
    for (const child of this.#workers.flat()) child.retire()
    const deadline = clock.monotonic() + withinMs
    const left = (reserve: number) => Math.max(0, deadline - reserve - clock.monotonic())
    const reserve = this.#engine ? Math.min(ENGINE_RESERVE_MS, withinMs / 2) : 0
    const groups = this.#workers.toReversed()
    const stopping: Promise<unknown>[] = []
    for (const [index, group] of groups.entries()) {
      const stopped = Promise.all(group.map((child) => child.stop(left(reserve))))
      stopping.push(stopped)
      // A process that does not answer must not use up the time of the groups after it: they would be killed without
      // having been asked to stop.
      await this.#within(left(reserve) / (groups.length - index), stopped)
    }
    await Promise.all(stopping)
    await this.#engine?.stop(left(0))
  }

  /** Waits for `done`, but at most `ms`. */
  async #within(ms: number, done: Promise<unknown>): Promise<void> {
    const isOver = Promise.withResolvers<void>()
    const cancel = this.#options.clock.after(ms, isOver.resolve)
    await Promise.race([done, isOver.promise])
    cancel()
  }
}
