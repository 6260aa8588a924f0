import type { DeciderDefinition } from '../kernel/decider.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { DomainEvent, EventCatalog, RecordedEvent } from '../kernel/event.ts'
import type { EventLog } from '../log/contract.ts'
import { CachedStream } from './cached-stream.ts'
import type { StreamSnapshots } from './snapshots.ts'

/**
 * Folded streams by name and decider; the least recently used one is dropped first. An entry is never trusted: the
 * expected version of an append, or {@link CachedStream.confirm}, finds out if it is out of date. This also covers two
 * deciders that append to the same stream, each with a state of its own.
 */
export class StreamCache {
  readonly #log: EventLog
  readonly #events: EventCatalog
  readonly #size: number
  readonly #snapshots: StreamSnapshots | undefined
  readonly #entries = new Map<string, Promise<CachedStream>>()

  /** @param size the most streams to keep */
  constructor(log: EventLog, events: EventCatalog, size: number, snapshots?: StreamSnapshots) {
    this.#snapshots = snapshots
    this.#log = log
    this.#events = events
    this.#size = size
  }

  /** The stream's state; callers that ask while it is being loaded share the load. */
  async get(stream: string, decider: DeciderDefinition): Promise<CachedStream> {
    // Names of deciders have no slash.
    const key = `${decider.name}/${stream}`
    const known = this.#entries.get(key)
    const decode = (event: RecordedEvent) => this.#decode(event)
    const entry = known ?? CachedStream.load(stream, decider, this.#log, decode, this.#snapshots)
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    if (this.#entries.size > this.#size) this.#entries.delete(this.#entries.keys().next().value as string)
    try {
      const loaded = await entry
      if (!loaded.spoiled) return loaded
    } catch (error) {
      this.#drop(key, entry)
      throw error
    }
    this.#drop(key, entry)
    return this.get(stream, decider)
  }

  /** Drops an entry, unless it was loaded again meanwhile. */
  #drop(key: string, entry: Promise<CachedStream>): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key)
  }

  #decode(event: RecordedEvent): DomainEvent {
    const decoded = this.#events.decode(event)
    if (decoded.ok) return decoded.event
    const { stream, position, type, schemaVersion } = event
    throw new CqrsError(
      'CQRS_EVENT_UNREADABLE',
      `No command on the stream ${stream} can be decided, because this app cannot read its event at position ${position}. ` +
        `${decoded.error} Nothing is damaged: deploy the version of the app that knows the event, or fix its upcaster or schema.`,
      { details: { stream, position, type, schemaVersion } },
    )
  }
}
