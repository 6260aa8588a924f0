import type { Outcome } from './outcome.ts'
import type { RawJson } from './raw-json.ts'
import type { Session } from './session.ts'
import type { TraceContext } from './trace-context.ts'

/** The input of a function that the engine itself offers. */
export interface BuiltinCall {
  readonly data: RawJson
  /** The worker that called; undefined when the engine did, for example for an HTTP request. */
  readonly caller: Session | undefined
  readonly trace: TraceContext
}

/** A function that runs inside the engine. */
export type BuiltinHandler = (call: BuiltinCall) => Outcome | Promise<Outcome>

/** A function the engine can route to. */
export interface FunctionEntry {
  readonly id: string
  /** The id as JSON, ready for a frame. */
  readonly quotedId: RawJson
  readonly description: string | undefined
  readonly requestFormat: unknown
  readonly responseFormat: unknown
  readonly metadata: unknown
  readonly owner: Session | BuiltinHandler
  /** Set if the function runs in the engine on behalf of the worker that owns it. */
  readonly handler?: BuiltinHandler | undefined
}

/**
 * Maps each function id to its one owner. Whoever registers an id last owns it. An earlier owner can no longer
 * unregister it.
 */
export class FunctionRegistry {
  readonly #entries = new Map<string, FunctionEntry>()
  readonly #onChange: () => void

  /** `onChange` runs after ids were added or removed, not when only an owner changed. */
  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  get(id: string): FunctionEntry | undefined {
    return this.#entries.get(id)
  }

  values(): Iterable<FunctionEntry> {
    return this.#entries.values()
  }

  ids(): Iterable<string> {
    return this.#entries.keys()
  }

  /** Registers a function for its owner; returns the previous owner, if there was one. */
  register(entry: Omit<FunctionEntry, 'quotedId'>): FunctionEntry['owner'] | undefined {
    const previous = this.#entries.get(entry.id)
    this.#entries.set(entry.id, { ...entry, quotedId: JSON.stringify(entry.id) })
    if (typeof entry.owner === 'object') entry.owner.functionIds.add(entry.id)
    if (previous === undefined) this.#onChange()
    return previous?.owner
  }

  /** Removes an id if `owner` still owns it; returns whether it did. */
  unregister(id: string, owner: Session): boolean {
    owner.functionIds.delete(id)
    if (this.#entries.get(id)?.owner !== owner) return false
    this.#entries.delete(id)
    this.#onChange()
    return true
  }

  /** Removes every id that a worker still owns. */
  unregisterAll(owner: Session): void {
    for (const id of [...owner.functionIds]) this.unregister(id, owner)
  }
}
