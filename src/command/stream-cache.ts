import type { DeciderDefinition } from '../kernel/decider.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { DomainEvent, EventCatalog, RecordedEvent } from '../kernel/event.ts'
import type { EventLog } from '../log/contract.ts'
import { CachedStream } from './cached-stream.ts'
import type { StreamSnapshots } from './snapshots.ts'

/**
 * Folded streams by name, the least recently used dropped first. It is never trusted: the expected
 * version of an append, or {@link CachedStream.confirm}, finds whatever it does not know.
 */
export class StreamCache {
  readonly #log: EventLog
  readonly #events: EventCatalog
  readonly #size: number
  readonly #entries = new Map<string, Promise<CachedStream>>()

  readonly #snapshots: StreamSnapshots | undefined

  /** @param size streams kept at the most */
  constructor(log: EventLog, events: EventCatalog, size: number, snapshots?: StreamSnapshots) {
    this.#snapshots = snapshots
    this.#log = log
    this.#events = events
    this.#size = size
  }

  /** The stream's state; callers that ask while it is being loaded share the load. */
  async get(stream: string, decider: DeciderDefinition): Promise<CachedStream> {
    const known = this.#entries.get(stream)
    const decode = (event: RecordedEvent) => this.#decode(event)
    const entry = known ?? CachedStream.load(stream, decider, this.#log, decode, this.#snapshots)
    this.#entries.delete(stream)
    this.#entries.set(stream, entry)
    if (this.#entries.size > this.#size) this.#entries.delete(this.#entries.keys().next().value as string)
    try {
      const loaded = await entry
      if (!loaded.spoiled) return loaded
    } catch (error) {
      this.drop(stream, entry)
      throw error
    }
    this.drop(stream, entry)
    return this.get(stream, decider)
  }

  /** Forgets a stream, unless it was loaded anew meanwhile. */
  drop(stream: string, entry: Promise<CachedStream>): void {
    if (this.#entries.get(stream) === entry) this.#entries.delete(stream)
  }

  #decode(event: RecordedEvent): DomainEvent {
    const decoded = this.#events.decode(event)
    if (decoded.ok) return decoded.event
    const { stream, position, type, schemaVersion } = event
    throw new CqrsError(
      'CQRS_EVENT_UNREADABLE',
      `Nothing can be decided about ${stream}, because this app cannot read its event at position ${position}. ` +
        `${decoded.error} Nothing is damaged: deploy the version of the app that knows the event, or mend its upcaster or schema.`,
      { details: { stream, position, type, schemaVersion } },
    )
  }
}
