import { CqrsError } from '../kernel/errors.ts'
import type { EventCatalog, RecordedEvent } from '../kernel/event.ts'
import type { Effect, ProjectionDefinition } from '../kernel/projection.ts'
import { assertFitsFrame } from './effect-size.ts'
import { freezeJson } from './plain-json.ts'

/** Documents while they are folded: what the store holds plus what changed since. */
export type Documents = Map<string, unknown>

/** A key and what its document is now; null if it is removed. */
export type Changed = readonly [key: string, document: unknown]

/** What one event does to a view, or why its handler could not say. */
export type FoldOutcome =
  | { readonly ok: true; readonly changed: readonly Changed[]; readonly effects: readonly Effect[] }
  | { readonly ok: false; readonly error: Error }

/** An event made ready for folding: decoded, with the documents that it touches. */
export type PreparedEvent =
  | { readonly ok: true; readonly event: RecordedEvent; readonly keys: readonly string[] }
  | { readonly ok: false; readonly error: Error }

/**
 * The name of an event's sequence, in the form in which a store returns it. If the projection cannot tell the sequence,
 * the event is kept in the order of its stream.
 */
export function sequenceOf(
  projection: ProjectionDefinition,
  prepared: PreparedEvent,
  recorded: RecordedEvent,
): string {
  const event = prepared.ok ? prepared.event : recorded
  try {
    // An event that could not be decoded may lack the field that its sequence is named after.
    const name: string | undefined = projection.sequence(event)
    return name === undefined ? event.stream : String(name).toWellFormed()
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
    for (const key of list) checkKey(key)
    return { ok: true, event: decoded.event, keys: list }
  } catch (error) {
    return { ok: false, error: asError(error) }
  }
}

/** @throws TypeError if it cannot be the key of a document */
function checkKey(key: unknown): void {
  if (typeof key !== 'string') {
    throw new TypeError(`key() returned ${typeof key}; return a string or an array of strings`)
  }
  // A store would return it as another key, which may be that of another document.
  if (!key.isWellFormed()) {
    throw new TypeError(
      `key() returned ${JSON.stringify(key)}, which contains half a character (an unpaired surrogate)`,
    )
  }
}

/**
 * Applies one event to `documents`. All its documents change or none does; `documents` itself is left to
 * the caller. Documents are frozen, so that a handler that changes its argument fails instead of
 * leaving half of a change behind; what it makes must be JSON, so that no handler can make a batch that the
 * store cannot write.
 */
export function fold(
  projection: ProjectionDefinition,
  prepared: Extract<PreparedEvent, { ok: true }>,
  documents: Documents,
): FoldOutcome {
  const { event, keys } = prepared
  const handler = projection.handler(event.type)
  const changed: Changed[] = []
  const effects: Effect[] = []
  try {
    for (const key of keys) {
      const before = documents.get(key) ?? freezeJson(projection.initial(key))
      const after = handler?.apply(before, event, (effect) => void effects.push(checkEffect(effect)))
      silence(after)
      if (after === undefined) {
        throw new CqrsError(
          'CQRS_APP_INVALID',
          `The handler of ${event.type} in ${projection.name} returned nothing; return the document, or null to remove it.`,
        )
      }
      changed.push([key, freezeJson(after)])
    }
    return { ok: true, changed, effects }
  } catch (error) {
    return { ok: false, error: asError(error) }
  }
}

function checkEffect(effect: Effect): Effect {
  const { kind, data, ...target } = freezeJson(effect) ?? {}
  const [name] = Object.values(target)
  const known = kind === 'publish' ? 'topic' in target : kind === 'call' && 'functionId' in target
  if (known && typeof name === 'string' && typeof data === 'object' && data !== null) {
    assertFitsFrame(effect)
    return effect
  }
  throw new CqrsError(
    'CQRS_APP_INVALID',
    'emit() takes {kind: "publish", topic, data} or {kind: "call", functionId, data}, with an object as data.',
  )
}

/** A promise that a handler returns is never awaited. If it rejects, it must not end the process as well. */
function silence(after: unknown): void {
  if (after instanceof Promise) after.catch(() => undefined)
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
