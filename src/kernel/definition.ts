import { CqrsError } from './errors.ts'
import type { EventDefinition } from './event.ts'

/**
 * Checks that a definition has no option that nobody reads: a mistyped `version` would have no effect, in silence. The
 * compiler checks the same, but Node runs an app without compiling it.
 *
 * @param what names the definition in the message
 * @throws CqrsError CQRS_APP_INVALID
 */
export function assertOptions(what: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).filter((key) => !known.includes(key))
  if (unknown.length === 0) return
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `${what} has the unknown option ${unknown.join(', ')}. Known are: ${known.join(', ')}.`,
  )
}

/**
 * Checks that each handler is for an event of the definition: one with a mistyped name would never be called, and its
 * event would be passed over in silence. A list of events that is none is left to defineApp, which
 * reports it with everything else.
 *
 * @param what names the definition in the message
 * @throws CqrsError CQRS_APP_INVALID
 */
export function assertHandlers(what: string, handlers: object, events: readonly EventDefinition[]): void {
  if (!isList(events)) return
  const types = events.map(({ type }) => type)
  const unknown = Object.keys(handlers).filter((type) => !types.includes(type))
  if (unknown.length === 0) return
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `${what} handles ${unknown.join(', ')}, which its "events" do not have. They have: ${types.join(', ')}.`,
  )
}

/** Whether the events of a definition are a list without gaps. */
export function isList(events: unknown): events is readonly EventDefinition[] {
  return Array.isArray(events) && events.every(Boolean)
}
