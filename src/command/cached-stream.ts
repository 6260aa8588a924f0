import type { DeciderDefinition } from '../kernel/decider.ts'
import type { DomainEvent, RecordedEvent } from '../kernel/event.ts'
import { freezePlain } from '../kernel/freeze-plain.ts'
import type { Position } from '../kernel/position.ts'
import type { AppendOutcome, EventLog } from '../log/contract.ts'
import type { Snapshot, StreamSnapshots } from './snapshots.ts'

/** Version and position of a stream's last stored event. */
export interface StreamEnd {
  readonly version: number
  readonly position: Position
}

const NO_EVENTS: StreamEnd = { version: 0, position: 0 }

/**
 * The folded state of one stream, including appends that are still in progress.
 *
 * Commands on one stream do not wait for each other's fsync. Each decides on the state as it will be once the appends
 * before it are stored, and expects their version and their last event. The log executes appends in the order in which
 * they were submitted. So if one fails, those after it get a version conflict, the entry is marked as spoiled, and
 * their commands are decided again on what the log really holds. The version alone would not be enough: the writer that
 * was faster may have brought the stream to exactly the version that they expect.
 *
 * An answer without an append (a rejection, or a command that changes nothing) has no expected version to protect it;
 * {@link confirm} tells whether it is based on state that is stored and still the newest.
 */
export class CachedStream {
  readonly #stream: string
  readonly #decider: DeciderDefinition
  #state: unknown
  #version = 0
  /** Id of the last event in the state. */
  #lastId: string | undefined
  /** Appends whose outcome is not known yet. */
  #underWay = 0
  #lastAppend: Promise<unknown> = Promise.resolve()
  #spoiled = false
  readonly #snapshots: StreamSnapshots | undefined
  /** Version of the stream's newest snapshot. */
  #snapshotAt = 0

  private constructor(stream: string, decider: DeciderDefinition, snapshots: StreamSnapshots | undefined) {
    this.#stream = stream
    this.#decider = decider
    this.#snapshots = snapshots
    this.#state = freezePlain(decider.initialState())
  }

  /**
   * Folds a stream from the log, starting at a snapshot if there is one that the log confirms.
   *
   * @throws CqrsError if the log fails; CQRS_EVENT_UNREADABLE if it holds an event that cannot be decoded
   */
  static async load(
    stream: string,
    decider: DeciderDefinition,
    log: EventLog,
    decode: (event: RecordedEvent) => DomainEvent,
    snapshots?: StreamSnapshots,
  ): Promise<CachedStream> {
    const loaded = new CachedStream(stream, decider, snapshots)
    const snapshot = await snapshots?.find(stream, decider, log)
    const isToBeChecked = snapshots?.isToBeChecked(decider) ?? false
    if (snapshot) {
      loaded.#snapshotAt = snapshot.version
      if (!isToBeChecked) loaded.#restore(snapshot)
    }
    let position = snapshot?.position ?? 0
    for await (const events of log.readStream(stream, { after: loaded.#version })) {
      for (const event of events) {
        loaded.#state = loaded.#evolved(loaded.#state, decode(event))
        loaded.#version = event.version
        position = event.position
        loaded.#lastId = event.id
        if (isToBeChecked && snapshot && event.version === snapshot.version) {
          snapshots?.check(stream, decider, snapshot, loaded.#state)
        }
      }
    }
    loaded.#offerSnapshot(loaded.#state, loaded.#version, position, loaded.#lastId)
    return loaded
  }

  get state(): unknown {
    return this.#state
  }

  /** Version of the stream once all appends in progress are stored. */
  get version(): number {
    return this.#version
  }

  /**
   * The entry includes something that was not stored, or lacks what another writer has stored. It must not be used
   * again.
   */
  get spoiled(): boolean {
    return this.#spoiled
  }

  /**
   * Submits an append that expects the entry's present version, and moves the entry ahead. The events are folded first:
   * if `evolve` throws, nothing is submitted. The entry is then spoiled, because a state that is an object of a class
   * may have been changed halfway.
   *
   * @param events as a reader of the log will get them
   * @param lastId id of the last of them
   */
  append(
    events: readonly DomainEvent[],
    lastId: string | undefined,
    submit: (expectedVersion: number, expectedLast: string | undefined) => Promise<AppendOutcome>,
  ): Promise<AppendOutcome> {
    const state = events.reduce((folded, event) => this.#evolved(folded, event), this.#state)
    // If no append is in progress, the last event is stored and cannot change any more, so its version is enough.
    const submitted = submit(this.#version, this.#underWay > 0 ? this.#lastId : undefined)
    this.#state = state
    this.#version += events.length
    this.#lastId = lastId ?? this.#lastId
    this.#underWay += 1
    const version = this.#version
    this.#lastAppend = submitted.then(
      (outcome) => {
        this.#underWay -= 1
        if (outcome.kind === 'appended') {
          this.#offerSnapshot(state, version, outcome.position, lastId)
        } else this.#spoiled = true
      },
      () => {
        this.#underWay -= 1
        this.#spoiled = true
      },
    )
    return submitted
  }

  /**
   * Checks that the state, as it is when this is called, is the stream's real state at some moment after the call.
   * Waits for the appends that lead to this state and, if there are newer events, for those that were submitted
   * meanwhile.
   *
   * @returns where the stream ends; undefined if the state is not the real one
   */
  async confirm(log: EventLog): Promise<StreamEnd | undefined> {
    const decidedAt = this.#version
    await this.#lastAppend
    const [newest] = await log.history(this.#stream, { limit: 1 })
    const { version, position } = newest ?? NO_EVENTS
    if (version > this.#version) this.#spoiled = true
    // The newer events come from later appends of this entry, or from another writer; in that case this entry's append
    // fails.
    else if (version > decidedAt) await this.#lastAppend
    return this.#spoiled ? undefined : { version, position }
  }

  #evolved(state: unknown, event: DomainEvent): unknown {
    try {
      return freezePlain(this.#decider.evolve(state, event))
    } catch (error) {
      this.#spoiled = true
      throw error
    }
  }

  #restore({ state, version, eventId }: Snapshot): void {
    this.#state = freezePlain(state)
    this.#version = version
    this.#lastId = eventId
  }

  /** Offers a snapshot of what is stored, never of what is still in progress. */
  #offerSnapshot(state: unknown, version: number, position: Position, eventId: string | undefined): void {
    // The state of a spoiled entry may include events that are not in the log.
    if (eventId === undefined || this.#spoiled) return
    const snapshot = { state, version, position, eventId }
    if (this.#snapshots?.offer(this.#stream, this.#decider, this.#snapshotAt, snapshot)) {
      this.#snapshotAt = version
    }
  }
}
