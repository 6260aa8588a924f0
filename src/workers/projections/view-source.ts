import type { ViewReaders } from '../../generations/view-readers.ts'
import { CqrsError } from '../../kernel/errors.ts'
import { invalidField } from '../../kernel/input.ts'
import type { Position } from '../../kernel/position.ts'
import type { EventLog } from '../../log/contract.ts'
import type { Freshness } from '../../projection/contract.ts'
import { PositionWatch } from '../../projection/position-watch.ts'

/** Where a query reads. */
export interface Source {
  /**
   * Reads from a source that is at least as new as `after`. The source may advance during the read, but stays the same
   * one: a read never sees one generation of a view and then another.
   *
   * @throws CqrsError CQRS_VIEW_BEHIND if it did not get there in time, CQRS_OVERLOADED if too many reads wait,
   *   CQRS_VALIDATION if the log ends before `after`
   */
  read<Result>(
    after: Position,
    run: (reader: unknown, freshness: Freshness) => Promise<Result>,
  ): Promise<Result>
}

export interface ViewSourceOptions {
  readonly readers: Pick<ViewReaders, 'use'>
  readonly events: Pick<EventLog, 'head'>
  /** How long a read waits for the view to get as far as it asks, in milliseconds. */
  readonly waitMs: number
  readonly waiting: WaitingReads
}

/** Limits how many reads wait at the same time. All views of a process share it. */
export class WaitingReads {
  readonly #limit: number
  #count = 0

  /** @param limit see `queries.maxWaiting` of the configuration */
  constructor(limit: number) {
    this.#limit = limit
  }

  /**
   * Runs `wait` and counts the read until it ends.
   *
   * @throws CqrsError CQRS_OVERLOADED if too many reads wait already
   */
  async counted<Result>(wait: () => Promise<Result>): Promise<Result> {
    if (this.#count >= this.#limit) {
      throw new CqrsError(
        'CQRS_OVERLOADED',
        `${this.#limit} queries already wait for views to catch up, which is the limit (queries.maxWaiting). ` +
          'Try again shortly, or ask without `after`.',
      )
    }
    this.#count += 1
    try {
      return await wait()
    } finally {
      this.#count -= 1
    }
  }
}

/** A view as a source, whichever of its generations is the active one. */
export function viewSource(name: string, { readers, events, waitMs, waiting }: ViewSourceOptions): Source {
  const reached = () => readers.use(name, ({ view }) => view.position())
  const watch = new PositionWatch({ read: reached, pollMs: 5 })
  const reach = async (after: Position): Promise<void> => {
    const head = await events.head()
    if (after > head) {
      throw invalidField('after', `${after} is beyond the log, which ends at ${head}`)
    }
    if (await waiting.counted(() => watch.reached(after, waitMs))) return
    const position = await reached()
    throw new CqrsError(
      'CQRS_VIEW_BEHIND',
      `The view ${name} is at ${position} and did not reach ${after} within ${waitMs} ms; try again shortly.`,
      { details: { position, lag: head - position } },
    )
  }
  return {
    async read(after, run) {
      for (;;) {
        const read = await readers.use(name, async ({ view }) => {
          // Freshness is read first: the documents that are read afterwards are at least as new, and lack no more
          // events.
          const freshness = await view.freshness()
          // Checked after waiting, too: what reached the position need not be what serves now, after a forced rollback
          // or if the view was started over.
          return freshness.position < after ? undefined : { result: await run(view, freshness) }
        })
        if (read) return read.result
        await reach(after)
      }
    },
  }
}
