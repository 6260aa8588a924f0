import { reached } from '../boundaries.ts'
import type { Position } from '../kernel/position.ts'
import type { ViewStore } from './contract.ts'

/**
 * Finds the event whose handler ends the process, or hangs until the process is killed.
 *
 * A trial is stored before handlers run. The next process finds it and tries the events of the batch one by one. If
 * processes end twice while one event is tried alone, the event has failed, and is parked like one that throws. Once is
 * not enough: a process can be killed for other reasons, and a query with `after` should see what was acknowledged.
 */
export class Trials {
  readonly #view: Pick<ViewStore, 'beginTrial' | 'endTrial' | 'trial'>
  readonly #projection: string
  /** One of these events may have ended the process that tried them, so each is tried alone. */
  #suspected: { readonly from: Position; readonly to: Position } = { from: 0, to: 0 }
  /** The event that was being tried alone when processes ended, and how many of them did. */
  #ended: { readonly position: Position; readonly times: number } | undefined

  constructor(view: Pick<ViewStore, 'beginTrial' | 'endTrial' | 'trial'>, projection: string) {
    this.#view = view
    this.#projection = projection
  }

  /** Reads the trial that an earlier process has left. */
  async takeOver(): Promise<void> {
    const trial = await this.#view.trial()
    this.#suspected = trial ?? this.#suspected
    this.#ended =
      trial && trial.from === trial.to ? { position: trial.from, times: trial.ends + 1 } : undefined
  }

  /** How many events from a position on may be tried together; what is suspected is tried one by one. */
  unsuspected(next: Position): number {
    const { from, to } = this.#suspected
    if (next > to) return Number.MAX_SAFE_INTEGER
    return next < from ? from - next : 1
  }

  /**
   * Stores that events are being tried, and runs `work`. What `work` commits ends the trial. So does an error: the
   * process has not ended, and the event must not be blamed if it ends later.
   *
   * @param revision that of the view from which the change is computed
   */
  async run<Result>(
    { from, to }: { from: Position; to: Position },
    revision: number,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const ends = from === to && this.#ended?.position === from ? this.#ended.times : 0
    await this.#view.beginTrial({ from, to, ends }, revision)
    reached('trial-begun', this.#projection)
    try {
      const result = await work()
      // What became of the event is stored (or another writer was faster), so a later try begins with a clean slate.
      if (this.#ended?.position === from) this.#ended = undefined
      return result
    } catch (error) {
      // If this fails as well, the next process blames the event once, which is not enough to park it.
      await this.#view.endTrial(revision).catch(() => undefined)
      throw error
    }
  }

  /** Whether processes have ended `ends` times while the event was tried alone, until that is stored. */
  isToBlame(position: Position, ends: number): boolean {
    return this.#ended?.position === position && this.#ended.times >= ends
  }
}
