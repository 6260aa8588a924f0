import { hash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { DeciderDefinition } from '../kernel/decider.ts'
import { parseJson } from '../kernel/json.ts'
import type { Position } from '../kernel/position.ts'
import type { EventLog } from '../log/contract.ts'

/** The folded state of a stream up to one of its events. */
export interface Snapshot {
  readonly version: number
  /** Position and id of the event at that version. With them the log confirms that the event is still the same. */
  readonly position: Position
  readonly eventId: string
  readonly state: unknown
}

/** A snapshot as a store keeps it: with a fingerprint of the fold that made it, and the state as JSON. */
export interface StoredSnapshot extends Omit<Snapshot, 'state'> {
  readonly stream: string
  readonly fingerprint: string
  readonly state: string
}

/**
 * Where snapshots are stored. They are a cache: losing any of them only costs time. No method throws or rejects; a
 * store that fails logs the error and returns nothing from then on.
 */
export interface SnapshotStore {
  find(stream: string): Promise<StoredSnapshot | undefined>
  /** Stores a snapshot in place of an older one of its stream, some time after the call. */
  save(snapshot: StoredSnapshot): void
  /** Removes all snapshots with a fingerprint, some time after the call. */
  forget(fingerprint: string): void
  close(): Promise<void>
}

export interface StreamSnapshotsOptions {
  store: SnapshotStore
  /** How many events of a stream are between two of its snapshots. */
  every: number
  /** Identifies the code of the app. Snapshots that other code has made are not used. */
  code: string
  log: Logger
}

/** How many snapshots of each decider a process compares with a fold from the log before it trusts the others. */
const CHECKED_FOLDS = 3

/**
 * Snapshots of folded streams, so that the time to load a stream does not grow with its length. The log always wins
 * over a snapshot. A snapshot is used only if
 *
 * - it was made by the same code: the files of the app are the same, and so are the decider's name and version, the text
 *   of its folds, and the types, versions, schemas and upcasters (by their text) of its events;
 * - the log has, at the snapshot's position, an event with the same stream, version and id. A log that was restored
 *   from a backup may not have it.
 *
 * A fold can also change because of something that is in no file of the app, such as a variable of the environment. So the
 * first snapshots that a process uses are compared with a new fold. If one differs, all snapshots of that code are
 * removed, and none of that decider is used until the process starts again. A state that changes when it is converted to
 * JSON and back is not stored at all.
 */
export class StreamSnapshots {
  readonly #options: StreamSnapshotsOptions
  readonly #fingerprints = new Map<DeciderDefinition, string>()
  /** Deciders whose snapshots are not used, for a reason that was logged. */
  readonly #refused = new Set<DeciderDefinition>()
  readonly #checked = new Map<DeciderDefinition, number>()

  constructor(options: StreamSnapshotsOptions) {
    this.#options = options
  }

  /** A snapshot that the log confirms. @throws CqrsError if the log fails */
  async find(stream: string, decider: DeciderDefinition, log: EventLog): Promise<Snapshot | undefined> {
    if (this.#refused.has(decider)) return undefined
    const stored = await this.#options.store.find(stream)
    if (!stored || stored.fingerprint !== this.#fingerprint(decider)) return undefined
    const { version, position, eventId } = stored
    const { events } = await log.readFrom(position - 1, { limit: 1 })
    const [event] = events
    if (event?.stream !== stream || event.version !== version || event.id !== eventId) return undefined
    return { version, position, eventId, state: parseJson(stored.state) }
  }

  /**
   * Whether the stream has to be folded from its first event in spite of a snapshot, to {@link check} that snapshot.
   */
  isToBeChecked(decider: DeciderDefinition): boolean {
    return (this.#checked.get(decider) ?? 0) < CHECKED_FOLDS
  }

  /** Compares a snapshot with the result of folding from the first event to its version. */
  check(stream: string, decider: DeciderDefinition, { state }: Snapshot, folded: unknown): void {
    if (isDeepStrictEqual(state, folded)) {
      this.#checked.set(decider, (this.#checked.get(decider) ?? 0) + 1)
      return
    }
    // Otherwise the next process would use them, if the first ones that it compares happen to agree.
    this.#options.store.forget(this.#fingerprint(decider))
    this.#refuse(
      decider,
      `the snapshot of ${stream} differs from a fold of its events: the decider no longer folds them as it did ` +
        'when the snapshot was made. Raise the version in defineDecider, so that older snapshots are not used',
    )
  }

  /**
   * Stores a snapshot if the last one (of version `last`, 0 if there is none) is far enough behind.
   *
   * @returns whether the snapshot was stored
   */
  offer(stream: string, decider: DeciderDefinition, last: number, snapshot: Snapshot): boolean {
    if (snapshot.version - last < this.#options.every || this.#refused.has(decider)) return false
    const state = asJson(snapshot.state)
    if (state === undefined) {
      this.#refuse(
        decider,
        'its state is not the same after it was written as JSON and read back, so it cannot be stored',
      )
      return false
    }
    this.#options.store.save({ ...snapshot, stream, fingerprint: this.#fingerprint(decider), state })
    return true
  }

  #refuse(decider: DeciderDefinition, reason: string): void {
    this.#refused.add(decider)
    const { name } = decider
    this.#options.log.warn({ decider: name }, `no snapshots are used for the decider ${name}: ${reason}`)
  }

  #fingerprint(decider: DeciderDefinition): string {
    const known = this.#fingerprints.get(decider)
    if (known) return known
    const events = decider.events.map(({ type, version, schema, upcasters }) => {
      const lifts = Object.values(upcasters).map(String)
      return [type, version, describe(schema), ...(lifts.length > 0 ? [lifts] : [])]
    })
    const { name, version, foldText } = decider
    const made = hash('sha256', JSON.stringify([this.#options.code, name, version, foldText, events]))
    this.#fingerprints.set(decider, made)
    return made
  }
}

/** The value as JSON; undefined if it would not be the same when read back. */
function asJson(value: unknown): string | undefined {
  try {
    const text = JSON.stringify(value)
    return isDeepStrictEqual(parseJson(text), value) ? text : undefined
  } catch {
    return undefined
  }
}

/** The schema's shape, as far as JSON Schema can express it. */
function describe(schema: z.ZodType): unknown {
  try {
    return z.toJSONSchema(schema, { unrepresentable: 'any' })
  } catch {
    return null
  }
}
