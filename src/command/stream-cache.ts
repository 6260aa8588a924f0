import type { DeciderDefinition } from '../kernel/decider.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { DomainEvent, EventCatalog, RecordedEvent } from '../kernel/event.ts'
import { KeptSize } from '../kernel/kept-size.ts'
import type { EventLog } from '../log/contract.ts'
import { CachedStream } from './cached-stream.ts'
import type { StreamSnapshots } from './snapshots.ts'

/** How much a {@link StreamCache} may keep. */
export interface StreamCacheLimits {
  /** How many streams are kept. */
  readonly streams: number
  /**
   * How much memory the states of these streams may take, in bytes. The size is estimated. The stream of the last
   * command is kept, however large its state is.
   */
  readonly bytes: number
}

/**
 * Folded streams by name and decider; the least recently used one is dropped first. An entry is never trusted: the
 * expected version of an append, or {@link CachedStream.confirm}, finds out if it is out of date. This also covers two
 * deciders that append to the same stream, each with a state of its own.
 */
export class StreamCache {
  readonly #log: EventLog
  readonly #events: EventCatalog
  readonly #limits: StreamCacheLimits
  readonly #size = new KeptSize()
  readonly #snapshots: StreamSnapshots | undefined
  readonly #entries = new Map<string, Promise<CachedStream>>()

  constructor(log: EventLog, events: EventCatalog, limits: StreamCacheLimits, snapshots?: StreamSnapshots) {
    this.#snapshots = snapshots
    this.#log = log
    this.#events = events
    this.#limits = limits
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
    if (this.#entries.size > this.#limits.streams) this.#dropOldest()
    try {
      const loaded = await entry
      this.#noteSize(loaded)
      if (!loaded.spoiled) return loaded
    } catch (error) {
      this.#drop(key, entry)
      throw error
    }
    this.#drop(key, entry)
    return this.get(stream, decider)
  }

  #noteSize({ state }: CachedStream): void {
    this.#size.note(state)
    while (this.#entries.size > 1 && this.#size.of(this.#entries.size) > this.#limits.bytes)
      this.#dropOldest()
  }

  #dropOldest(): void {
    this.#entries.delete(this.#entries.keys().next().value as string)
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
