import { assertHandlers, assertOptions } from './definition.ts'
import { CqrsError } from './errors.ts'
import type { EventDefinition, RecordedEvent, RecordedEventOf } from './event.ts'

/** Something to do outside the system because of an event. Sent at least once; see {@link Emit}. */
export type Effect =
  /** Published to a topic: every subscriber gets `data`. */
  | { readonly kind: 'publish'; readonly topic: string; readonly data: Record<string, unknown> }
  /**
   * A function on the engine is called with `data`, and has to answer. `cmd::<name>` is a command; the effect has failed
   * unless the command is accepted.
   */
  | { readonly kind: 'call'; readonly functionId: string; readonly data: Record<string, unknown> }

/**
 * Records an effect. The effect is stored together with the checkpoint and sent afterwards, with an `idempotencyKey`
 * that is the same each time it is sent. A rebuild does not send it again.
 */
export type Emit = (effect: Effect) => void

/** What a projection does with one type of event. */
export interface EventHandler<Document, Event extends RecordedEvent = RecordedEvent> {
  /** The keys of the documents that the event changes. */
  key(event: Event): string | readonly string[]
  /**
   * Folds the event into one document. Pure: returns a new document (or null to remove it) and does not change its
   * arguments. If it throws, the event's sequence is parked.
   */
  apply(document: Document, event: Event): Document | null
}

/** What a reactor does with one type of event: the same as a projection, but it may also emit effects. */
export interface EffectHandler<Document, Event extends RecordedEvent = RecordedEvent> {
  key(event: Event): string | readonly string[]
  apply(document: Document, event: Event, emit: Emit): Document | null
}

type EventHandlers<Document, Definitions extends readonly EventDefinition[]> = {
  readonly [D in Definitions[number] as D['type']]?: EventHandler<Document, RecordedEventOf<D>>
}

type EffectHandlers<Document, Definitions extends readonly EventDefinition[]> = {
  readonly [D in Definitions[number] as D['type']]?: EffectHandler<Document, RecordedEventOf<D>>
}

/** A view built from events: JSON documents by key. A reactor is a view whose handlers also emit effects. */
export interface ProjectionDefinition<
  Document = unknown,
  Index extends string = string,
  Definitions extends readonly EventDefinition[] = readonly EventDefinition[],
> {
  readonly kind: 'projection' | 'reactor'
  readonly name: string
  /** Increase it by one whenever the fold changes; the view is then rebuilt. */
  readonly version: number
  /**
   * The function on the engine that applies events, e.g. `proj::inventory-list`; for partitions see {@link unitsOf}.
   */
  readonly functionId: string
  /** How many partitions the work is split into, by the stream of the events; 1 means that it is not split. */
  readonly partitions: number
  readonly events: Definitions
  /** Top-level fields by which documents can be found and sorted. */
  readonly indexes: readonly Index[]
  /** The document of a key before any event has changed it. */
  initial(key: string): Document
  /**
   * Names the sequence of an event. Events of one sequence are applied in order; if one is parked, the later ones wait.
   */
  sequence(event: RecordedEvent): string
  handler(type: string): EffectHandler<Document> | undefined
}

/** The event types that a projection has handlers for; it skips all others. */
export function handledTypes({ events, handler }: ProjectionDefinition): ReadonlySet<string> {
  return new Set(events.map(({ type }) => type).filter((type) => handler(type)))
}

/** Everything that defines a view, except its handlers. */
export interface ViewOptions<
  Definitions extends readonly EventDefinition[],
  Document,
  Index extends string = string,
> {
  /** Unique in the app: lower-case words joined by "-". */
  name: string
  /** Version of the fold; 1 if left out. */
  version?: number
  /** The event types that it has handlers for. */
  events: Definitions
  /** The document of a key before its first event. Annotate the types of its parameter and its result. */
  initial(key: string): Document
  /** Top-level fields by which documents can be found and sorted. */
  indexes?: readonly (Index & keyof NoInfer<Document>)[]
  /**
   * Names the sequence of an event, within which order is kept; by default its stream. An event that cannot be decoded
   * is given as it was stored; if this then throws or returns nothing, the event is kept in the order of its stream.
   */
  sequence?(event: RecordedEventOf<Definitions[number]>): string
  /**
   * Splits the work into this many partitions, by the stream of the events. Each partition has its own checkpoint,
   * queue and function, so several processes can share the work. Only for views in which every document is built from
   * the events of a single stream. 1 to 64; 1 if left out.
   */
  partitions?: number
}

/** The second half of a definition: one keyed, pure fold per type of event. */
export interface ViewBuilder<
  Document,
  Handlers,
  Index extends string = string,
  Definitions extends readonly EventDefinition[] = readonly EventDefinition[],
> {
  /** @throws CqrsError CQRS_APP_INVALID if a handler is for an event that `events` does not have, or an option is unknown */
  on(handlers: Handlers): ProjectionDefinition<Document, Index, Definitions>
}

/**
 * Defines a projection, a queryable view: `defineProjection({…}).on({'item-sold': {key, apply}})`.
 * The function on the engine is `proj::<name>`.
 */
export function defineProjection<
  const Definitions extends readonly EventDefinition[],
  Document,
  const Index extends string = never,
>(
  options: ViewOptions<Definitions, Document, Index>,
): ViewBuilder<Document, EventHandlers<Document, Definitions>, Index, Definitions> {
  return { on: (handlers) => define('projection', `proj::${options.name}`, options, handlers) }
}

/**
 * Defines a reactor: a projection whose output is effects. Its handlers get `emit` as third argument; its documents are
 * its memory. The function on the engine is `notify::<name>`.
 */
export function defineReactor<
  const Definitions extends readonly EventDefinition[],
  Document,
  const Index extends string = never,
>(
  options: ViewOptions<Definitions, Document, Index>,
): ViewBuilder<Document, EffectHandlers<Document, Definitions>, Index, Definitions> {
  return { on: (handlers) => define('reactor', `notify::${options.name}`, options, handlers) }
}

const OPTIONS = ['name', 'version', 'events', 'initial', 'indexes', 'sequence', 'partitions']

function define<Document, Index extends string, Definitions extends readonly EventDefinition[]>(
  kind: ProjectionDefinition['kind'],
  functionId: string,
  options: ViewOptions<Definitions, Document, Index>,
  on: object,
): ProjectionDefinition<Document, Index, Definitions> {
  const { name, partitions = 1 } = options
  assertOptions(`The ${kind} ${name}`, options, OPTIONS)
  assertHandlers(`The ${kind} ${name}`, on, options.events)
  checkPartitions(name, partitions, options.sequence !== undefined)
  const handlers = new Map(Object.entries(on as Record<string, EffectHandler<Document>>))
  return Object.freeze({
    kind,
    name,
    version: options.version ?? 1,
    functionId,
    partitions,
    events: options.events,
    indexes: options.indexes ?? [],
    initial: options.initial,
    sequence: options.sequence ?? ((event: RecordedEvent) => event.stream),
    handler: (type: string) => handlers.get(type),
  })
}

function checkPartitions(name: string, partitions: number, hasSequence: boolean): void {
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > 64) {
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `The projection ${name} has ${partitions} partitions; give a whole number from 1 to 64.`,
    )
  }
  if (partitions > 1 && hasSequence) {
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `The projection ${name} has both "partitions" and "sequence": events are partitioned by stream, so a sequence ` +
        'that spans several streams could not be kept in order. Leave one of them out.',
    )
  }
}
