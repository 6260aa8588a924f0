import { CqrsError } from '../kernel/errors.ts'
import type { EventCatalog, RecordedEvent } from '../kernel/event.ts'
import type { Effect, ProjectionDefinition } from '../kernel/projection.ts'

/** Documents while they are folded: what the store holds plus what changed since. */
export type Documents = Map<string, unknown>

/** What one event does to a view, or why its handler could not say. */
export type FoldOutcome =
  | { readonly ok: true; readonly changed: ReadonlyMap<string, unknown>; readonly effects: readonly Effect[] }
  | { readonly ok: false; readonly error: Error }

/** An event made ready for folding: decoded, with the documents that it touches. */
export type PreparedEvent =
  | { readonly ok: true; readonly event: RecordedEvent; readonly keys: readonly string[] }
  | { readonly ok: false; readonly error: Error }

/** Names the sequence of an event; an event whose sequence cannot be told is kept in order by its stream. */
export function sequenceOf(projection: ProjectionDefinition, event: RecordedEvent): string {
  try {
    return String(projection.sequence(event))
  } catch {
    return event.stream
  }
}

/** Decodes an event and asks its handler for the keys. */
export function prepare(
  projection: ProjectionDefinition,
  catalog: EventCatalog,
  recorded: RecordedEvent,
): PreparedEvent {
  const decoded = catalog.decode(recorded)
  if (!decoded.ok) return { ok: false, error: new Error(decoded.error) }
  const handler = projection.handler(recorded.type)
  if (!handler) return { ok: true, event: decoded.event, keys: [] }
  try {
    const keys = handler.key(decoded.event)
    const list = typeof keys === 'string' ? [keys] : [...new Set(keys)]
    const wrong = list.find((key) => typeof key !== 'string')
    if (wrong !== undefined)
      throw new TypeError(`key() gave ${typeof wrong}; give a string or an array of strings`)
    return { ok: true, event: decoded.event, keys: list }
  } catch (error) {
    return { ok: false, error: asError(error) }
  }
}

/**
 * Applies one event to `documents`. All its documents change or none does; `documents` itself is left to
 * the caller. Documents are frozen, so that a handler that changes its argument fails instead of
 * leaving half of a change behind.
 */
export function fold(
  projection: ProjectionDefinition,
  prepared: Extract<PreparedEvent, { ok: true }>,
  documents: Documents,
): FoldOutcome {
  const { event, keys } = prepared
  const handler = projection.handler(event.type)
  const changed = new Map<string, unknown>()
  const effects: Effect[] = []
  try {
    for (const key of keys) {
      const before = documents.get(key) ?? freeze(projection.initial(key))
      const after = handler?.apply(before, event, (effect) => void effects.push(effect))
      if (after === undefined) {
        throw new CqrsError(
          'CQRS_APP_INVALID',
          `The handler of ${event.type} in ${projection.name} returned nothing; return the document, or null to remove it.`,
        )
      }
      changed.set(key, freeze(after))
    }
    return { ok: true, changed, effects }
  } catch (error) {
    return { ok: false, error: asError(error) }
  }
}

/** Freezes a JSON value in depth; parts that are frozen already are skipped. */
export function freeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const part of Object.values(value)) freeze(part)
  return value
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
