import type { z } from 'zod'
import { assertOptions } from './definition.ts'
import { CqrsError } from './errors.ts'
import { describeFailure, describeIssues, parseInput } from './input.ts'
import type { Position } from './position.ts'

/** An event as domain code creates and reads it. */
export interface DomainEvent<Type extends string = string, Data = unknown> {
  readonly type: Type
  readonly data: Data
}

/** Where an event comes from; stored with the event, never used for a decision. */
export interface EventMetadata {
  /** The command that caused the event. */
  readonly commandId: string
  /** Shared by everything that one request triggered. */
  readonly correlationId: string
  /** The id of the event because of which a reactor, or another worker, sent the command. */
  readonly causationId?: string
  /** Who asked for it. */
  readonly actor?: string
  /** W3C trace context of the request. */
  readonly traceparent?: string
}

/** An event as the log stores it. Until it is decoded, `data` has the shape of `schemaVersion`. */
export interface RecordedEvent<Type extends string = string, Data = unknown> extends DomainEvent<Type, Data> {
  readonly position: Position
  /** UUID version 7. */
  readonly id: string
  readonly stream: string
  /** 1 for the first event of the stream; contiguous. */
  readonly version: number
  readonly schemaVersion: number
  readonly metadata: EventMetadata
  /** ISO 8601 in UTC, with milliseconds. */
  readonly recordedAt: string
}

/** Converts data of one schema version to the next. */
export type Upcaster = (data: unknown) => unknown

/** A type of event: its name, the schema of its newest version, and the upcasters from older versions. */
export interface EventDefinition<Type extends string = string, Data = unknown> {
  readonly type: Type
  /** Version of `schema`. Increase it by one for each change that old data does not fit. */
  readonly version: number
  readonly schema: z.ZodType<Data>
  /** `upcasters[n]` lifts data of version n to version n + 1. */
  readonly upcasters: Readonly<Record<number, Upcaster>>
}

/** The event of one definition, or of a union of definitions. */
export type EventOf<Definition> =
  Definition extends EventDefinition<infer Type, infer Data> ? DomainEvent<Type, Data> : never

/** The event of a definition as the log stores it. */
export type RecordedEventOf<Definition> =
  Definition extends EventDefinition<infer Type, infer Data> ? RecordedEvent<Type, Data> : never

/**
 * Defines a type of event.
 *
 * @param options.type unique in the app, e.g. `inventory-item-sold`
 * @param options.schema zod schema of the newest version
 * @param options.version of the schema; 1 if left out
 * @param options.upcasters one for each older version, keyed by the version that it converts from
 * @throws CqrsError CQRS_APP_INVALID if an upcaster is missing, or has a key that is not an older version, or if
 *   an option is unknown
 */
export function defineEvent<const Type extends string, Data>(options: {
  type: Type
  schema: z.ZodType<Data>
  version?: number
  upcasters?: Record<number, Upcaster>
}): EventDefinition<Type, Data> {
  const { type, schema, version = 1, upcasters = {} } = options
  assertOptions(`Event ${type}`, options, ['type', 'schema', 'version', 'upcasters'])
  const wanted = Array.from({ length: version - 1 }, (_, index) => String(index + 1))
  const found = Object.keys(upcasters)
  if (wanted.length !== found.length || wanted.some((from) => !found.includes(from))) {
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `Event ${type} has version ${version}, so it needs an upcaster from each of the versions ` +
        `[${wanted.join(', ')}]; it has [${found.join(', ')}].`,
    )
  }
  return Object.freeze({ type, schema, version, upcasters })
}

/** The result of decoding a stored event: the event in its newest shape, or why it cannot be read. */
export type DecodeOutcome = { ok: true; event: RecordedEvent } | { ok: false; error: string }

/** Knows every event type of an app and converts stored events to their newest shape. */
export class EventCatalog {
  readonly #definitions = new Map<string, EventDefinition>()

  constructor(definitions: Iterable<EventDefinition>) {
    for (const definition of definitions) {
      const known = this.#definitions.get(definition.type)
      if (known && known !== definition) {
        throw new CqrsError(
          'CQRS_APP_INVALID',
          `Two events are called ${definition.type}; rename one of them.`,
        )
      }
      this.#definitions.set(definition.type, definition)
    }
  }

  /** The definition of a type. @throws CqrsError CQRS_APP_INVALID if the app has none */
  get(type: string): EventDefinition {
    const definition = this.#definitions.get(type)
    if (definition) return definition
    throw new CqrsError('CQRS_APP_INVALID', `The app defines no event ${type}; add it with defineEvent.`)
  }

  /** Whether the app defines a type of event. */
  defines(type: string): boolean {
    return this.#definitions.has(type)
  }

  /** Upcasts and validates a stored event. Never throws: if the event cannot be read, the outcome says why. */
  decode(event: RecordedEvent): DecodeOutcome {
    const definition = this.#definitions.get(event.type)
    if (!definition) return { ok: false, error: `The app defines no event ${event.type}.` }
    if (event.schemaVersion > definition.version) {
      return {
        ok: false,
        error: `Event ${event.type} was stored with version ${event.schemaVersion}; this app knows ${definition.version}.`,
      }
    }
    try {
      let data: unknown = event.data
      for (let from = event.schemaVersion; from < definition.version; from += 1) {
        data = definition.upcasters[from]?.(data)
      }
      const read = parseInput(definition.schema, data)
      if (read.ok)
        return { ok: true, event: { ...event, data: read.value, schemaVersion: definition.version } }
      return { ok: false, error: `Event ${event.type} does not parse: ${describeIssues(read.issues)}.` }
    } catch (error) {
      const reason = describeFailure(error).replace(/\.?$/, '.')
      return { ok: false, error: `Event ${event.type} does not parse: ${reason}` }
    }
  }
}
