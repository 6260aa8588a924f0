import { CqrsError } from '../../src/kernel/errors.ts'
import type { RecordedEvent } from '../../src/kernel/event.ts'
import { isIn } from '../../src/kernel/partition.ts'
import type { EventLog, LogPage, ReadOptions } from '../../src/log/contract.ts'

/** A log in memory for models with thousands of runs: every call is done in the turn in which it is made. */
export class MemoryLog implements Pick<EventLog, 'readFrom' | 'head'> {
  readonly events: RecordedEvent[] = []
  /** The row that is not what was written, until it is put back. */
  damagedAt = Number.POSITIVE_INFINITY

  append(stream: string, type: string, data: unknown): void {
    const position = this.events.length + 1
    const version = this.events.filter((event) => event.stream === stream).length + 1
    const recordedAt = new Date(1_700_000_000_000 + position).toISOString()
    const metadata = { commandId: 'c', correlationId: 'c' }
    const id = `event-${position}`
    this.events.push({ position, id, stream, version, type, schemaVersion: 1, data, metadata, recordedAt })
  }

  async readFrom(after: number, { limit, types, partition }: ReadOptions): Promise<LogPage> {
    const page = this.events.slice(after, after + limit)
    if (page.some(({ position }) => position === this.damagedAt)) {
      const details = { position: this.damagedAt }
      throw new CqrsError('CQRS_STORE_CORRUPT', `The event at position ${this.damagedAt} is damaged.`, {
        details,
      })
    }
    const events = page.filter(
      ({ type, stream }) => (types?.has(type) ?? true) && (!partition || isIn(stream, partition)),
    )
    return { events, through: page.at(-1)?.position ?? after, head: this.events.length }
  }

  async head(): Promise<number> {
    return this.events.length
  }
}
