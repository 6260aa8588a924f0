import type { DeciderDefinition } from '../kernel/decider.ts'
import type { DomainEvent } from '../kernel/event.ts'
import type { Position } from '../kernel/position.ts'
import type { AppendOutcome, EventLog } from '../log/contract.ts'

/**
 * The folded state of one stream, ahead of the log by the appends that are under way.
 *
 * Commands on one stream do not wait for each other's fsync: each decides on the state as it will be
 * once the appends before it are stored, and expects their version and their last event. The log carries
 * appends out in the order in which they were submitted, so if one fails, those behind it meet a version
 * conflict, the entry is spoiled and they decide again on what the log really holds. The version alone would
 * not do: whoever was faster may have brought the stream to the one that they expect.
 *
 * An answer without an append (a rejection, a command that changes nothing) has no expected version to
 * protect it; {@link confirm} tells whether it rests on something that is stored and still the newest.
 */
export class CachedStream {
  readonly #stream: string
  readonly #decider: DeciderDefinition
  #state: unknown
  #version = 0
  #position: Position = 0
  /** Id of the last event that the state was folded from. */
  #lastId: string | undefined
  /** Appends whose outcome is open. */
  #underWay = 0
  #lastAppend: Promise<unknown> = Promise.resolve()
  #spoiled = false

  private constructor(stream: string, decider: DeciderDefinition) {
    this.#stream = stream
    this.#decider = decider
    this.#state = decider.initialState()
  }

  /** Folds a stream from the log. @throws CqrsError if the log fails, or holds an event that does not decode */
  static async load(
    stream: string,
    decider: DeciderDefinition,
    log: EventLog,
    decode: (event: DomainEvent) => DomainEvent,
  ): Promise<CachedStream> {
    const loaded = new CachedStream(stream, decider)
    for await (const events of log.readStream(stream)) {
      for (const event of events) {
        loaded.#state = decider.evolve(loaded.#state, decode(event))
        loaded.#version = event.version
        loaded.#position = event.position
        loaded.#lastId = event.id
      }
    }
    return loaded
  }

  get state(): unknown {
    return this.#state
  }

  /** Version of the stream once everything under way is stored. */
  get version(): number {
    return this.#version
  }

  /** Position of the stream's last stored event. */
  get position(): Position {
    return this.#position
  }

  /** The entry is ahead of something that was not stored; it must not be used again. */
  get spoiled(): boolean {
    return this.#spoiled
  }

  /**
   * Submits an append of events to the version that the entry stands at, and moves it ahead. The events are
   * folded first: if `evolve` throws, nothing was submitted.
   *
   * @param events as a reader of the log will get them
   * @param lastId of the last of them
   */
  append(
    events: readonly DomainEvent[],
    lastId: string | undefined,
    submit: (expectedVersion: number, expectedLast: string | undefined) => Promise<AppendOutcome>,
  ): Promise<AppendOutcome> {
    const state = events.reduce((folded, event) => this.#decider.evolve(folded, event), this.#state)
    // What is stored does not change any more, so that its version is enough.
    const submitted = submit(this.#version, this.#underWay > 0 ? this.#lastId : undefined)
    this.#state = state
    this.#version += events.length
    this.#lastId = lastId ?? this.#lastId
    this.#underWay += 1
    this.#lastAppend = submitted.then(
      (outcome) => {
        this.#underWay -= 1
        if (outcome.kind === 'appended') this.#position = outcome.position
        else this.#spoiled = true
      },
      () => {
        this.#underWay -= 1
        this.#spoiled = true
      },
    )
    return submitted
  }

  /**
   * Whether the state that stands at `version` is the stream's real state at a moment after this call
   * began. Waits for the appends that lead to it.
   */
  async confirm(log: EventLog): Promise<boolean> {
    await this.#lastAppend
    const [newest] = await log.history(this.#stream, { limit: 1 })
    // Newer events that this entry knows were submitted after the decision; others are somebody else's.
    if ((newest?.version ?? 0) > this.#version) this.#spoiled = true
    return !this.#spoiled
  }
}
