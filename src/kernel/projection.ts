import { CqrsError } from './errors.ts'
import type { EventDefinition, RecordedEvent, RecordedEventOf } from './event.ts'

/** Something to be done in the world because of an event. Sent at least once; see {@link Emit}. */
export type Effect =
  /** Published to a topic: whoever listens gets `data`. */
  | { readonly kind: 'publish'; readonly topic: string; readonly data: Record<string, unknown> }
  /** A function on the engine is called with `data`. */
  | { readonly kind: 'call'; readonly functionId: string; readonly data: Record<string, unknown> }

/**
 * Records an effect. It is stored together with the checkpoint, sent afterwards with an
 * `idempotencyKey` that stays the same however often it is sent, and never again by a rebuild.
 */
export type Emit = (effect: Effect) => void

/** What a projection does with one type of event. */
export interface EventHandler<Document, Event extends RecordedEvent = RecordedEvent> {
  /** The documents that the event changes. */
  key(event: Event): string | readonly string[]
  /**
   * Folds the event into one document. Pure: returns a new document (or null to remove it) and
   * changes nothing it was given. What it throws parks the event's sequence.
   */
  apply(document: Document, event: Event): Document | null
}

/** What a reactor does with one type of event: as a projection, and it may emit effects. */
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

/** A view made of events: JSON documents by key. A reactor is one whose handlers also emit effects. */
export interface ProjectionDefinition<Document = unknown, Index extends string = string> {
  readonly kind: 'projection' | 'reactor'
  readonly name: string
  /** Higher by one whenever the fold changes; the view is then built anew. */
  readonly version: number
  /** The function on the engine that applies events, e.g. `proj::inventory-list`; see {@link unitsOf} for partitions. */
  readonly functionId: string
  /** Into how many parts, by the stream of the events, the work is split; 1 is the whole. */
  readonly partitions: number
  readonly events: readonly EventDefinition[]
  /** Top-level fields of the document by which it can be found and sorted. */
  readonly indexes: readonly Index[]
  /** The document of a key that no event has touched. */
  initial(key: string): Document
  /** Events of one sequence are applied in order or wait behind one another. */
  sequence(event: RecordedEvent): string
  handler(type: string): EffectHandler<Document> | undefined
}

/** The types of event that a projection has handlers for; it passes over all others. */
export function handledTypes({ events, handler }: ProjectionDefinition): ReadonlySet<string> {
  return new Set(events.map(({ type }) => type).filter((type) => handler(type)))
}

/** What a view is, before its handlers are given. */
export interface ViewOptions<
  Definitions extends readonly EventDefinition[],
  Document,
  Index extends string = string,
> {
  /** Unique in the app: lower-case words joined by "-". */
  name: string
  /** Version of the fold; 1 if left out. */
  version?: number
  /** The types it listens to. */
  events: Definitions
  /** The document of a key before its first event; annotate its parameter and result. */
  initial(key: string): Document
  /** Top-level fields of the document for finding and sorting. */
  indexes?: readonly (Index & keyof NoInfer<Document>)[]
  /** Names the sequence of an event, within which order is kept; by default its stream. */
  sequence?(event: RecordedEvent): string
  /**
   * Splits the work by the stream of the events into so many parts, each with its own checkpoint, queue and
   * function, so that several processes share it. Only for views whose every document is made from the
   * events of one stream. 1 to 64; 1 if left out.
   */
  partitions?: number
}

/** The second half of a definition: one keyed, pure fold per type of event. */
export interface ViewBuilder<Document, Handlers, Index extends string = string> {
  on(handlers: Handlers): ProjectionDefinition<Document, Index>
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
): ViewBuilder<Document, EventHandlers<Document, Definitions>, Index> {
  return { on: (handlers) => define('projection', `proj::${options.name}`, options, handlers) }
}

/**
 * Defines a reactor, a projection whose output is effects: its handlers get `emit` as third argument;
 * its documents are its memory. The function on the engine is `notify::<name>`.
 */
export function defineReactor<
  const Definitions extends readonly EventDefinition[],
  Document,
  const Index extends string = never,
>(
  options: ViewOptions<Definitions, Document, Index>,
): ViewBuilder<Document, EffectHandlers<Document, Definitions>, Index> {
  return { on: (handlers) => define('reactor', `notify::${options.name}`, options, handlers) }
}

function define<Document, Index extends string>(
  kind: ProjectionDefinition['kind'],
  functionId: string,
  options: ViewOptions<readonly EventDefinition[], Document, Index>,
  on: object,
): ProjectionDefinition<Document, Index> {
  const { name, partitions = 1 } = options
  checkPartitions(name, partitions, options.sequence !== undefined)
  // The table is checked per type where it is given; here it is only looked up by an event's type.
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
      `The projection ${name} has both "partitions" and "sequence": partitions go by stream, so that the order of ` +
        'a sequence of several streams could not be kept. Leave one of them out.',
    )
  }
}
