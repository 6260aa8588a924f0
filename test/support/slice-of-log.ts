import type { RecordedEvent } from '../../src/kernel/event.ts'
import type { AppendRequest, EventLog } from '../../src/log/contract.ts'

/**
 * Events of a log as a log of their own that begins at position 1 and shows one event after the other: a
 * property with hundreds of runs needs no file, no writer thread and no fsync of its own for each of them.
 */
export class SliceOfLog implements Pick<EventLog, 'readFrom' | 'head'> {
  readonly #log: EventLog
  readonly #start: number
  #shown = 0

  private constructor(log: EventLog, start: number) {
    this.#log = log
    this.#start = start
  }

  /** Stores what the slice will show, one event for each request. */
  static async of(log: EventLog, requests: readonly AppendRequest[]): Promise<SliceOfLog> {
    const start = await log.head()
    const outcomes = await Promise.all(requests.map((request) => log.append(request)))
    const refused = outcomes.find(({ kind }) => kind !== 'appended')
    if (refused) throw new Error(`Not appended: ${JSON.stringify(refused)}`)
    return new SliceOfLog(log, start)
  }

  /** Shows one event more. */
  async showNext(): Promise<RecordedEvent> {
    this.#shown += 1
    const { events } = await this.readFrom(this.#shown - 1, { limit: 1 })
    return events[0] as RecordedEvent
  }

  async readFrom(after: number, { limit, types }: { limit: number; types?: ReadonlySet<string> }) {
    const room = Math.min(limit, this.#shown - after)
    if (room <= 0) return { events: [], through: after, head: this.#shown }
    const options = { limit: room, ...(types && { types }) }
    const { events, through } = await this.#log.readFrom(after + this.#start, options)
    const moved = events.map((event) => ({ ...event, position: event.position - this.#start }))
    return { events: moved, through: through - this.#start, head: this.#shown }
  }

  async head(): Promise<number> {
    return this.#shown
  }
}
