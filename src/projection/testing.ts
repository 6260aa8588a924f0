import { CqrsError } from '../kernel/errors.ts'
import { EventCatalog, type EventDefinition, type EventOf, type RecordedEvent } from '../kernel/event.ts'
import { parseJson } from '../kernel/json.ts'
import type { Effect, ProjectionDefinition } from '../kernel/projection.ts'
import { type Documents, type FoldOutcome, fold, prepare } from './fold.ts'

/** What the log adds to an event. What a test leaves out is filled in; see {@link project}. */
type Recorded = Partial<
  Pick<RecordedEvent, 'position' | 'id' | 'stream' | 'version' | 'metadata' | 'recordedAt'>
>

/**
 * An event of the log as a test writes it: in its newest shape, or as an older version stored it, with that
 * `schemaVersion`.
 */
export type GivenEvent<Definition extends EventDefinition> = Recorded &
  (
    | (EventOf<Definition> & { schemaVersion?: undefined })
    | { readonly type: Definition['type']; readonly schemaVersion: number; readonly data: unknown }
  )

/** A view that was made from the events of a test. */
export interface Projected<Document> {
  /** The document of a key, or undefined if there is none. */
  get(key: string): Document | undefined
  /** All documents by key, in the order in which they were first made. */
  readonly documents: Readonly<Record<string, Document>>
  /** What a reactor has emitted, in order. */
  readonly effects: readonly Effect[]
}

/**
 * Tests a projection or reactor without a store: `project(parcels, {type: 'parcel-deposited', data: {…}}).get('p-1')`.
 * As in production, events pass through upcasters and schemas, documents are frozen, and documents and effects have to be
 * JSON. What would park an event fails the test.
 *
 * Unless a test says otherwise, the events are those of one stream, `stream-1`, with positions and versions from 1 on, all
 * recorded at the beginning of 2020 (UTC).
 *
 * @throws CqrsError CQRS_APP_INVALID if an event would be parked, if the projection cannot name its sequence, or if a
 *   projection with partitions changes one document by events of several streams
 */
export function project<Document, Index extends string, Definitions extends readonly EventDefinition[]>(
  projection: ProjectionDefinition<Document, Index, Definitions>,
  ...events: GivenEvent<Definitions[number]>[]
): Projected<Document> {
  const untyped = projection as unknown as ProjectionDefinition
  const catalog = new EventCatalog(projection.events)
  const streamOf = new Map<string, string>()
  const documents: Documents = new Map()
  const effects: Effect[] = []
  for (const event of recordedEvents(events, catalog)) {
    const outcome = applied(untyped, catalog, event, documents)
    if (!outcome.ok) {
      const message = `The event ${event.type} at position ${event.position} would be parked: ${outcome.error.message}`
      throw new CqrsError('CQRS_APP_INVALID', message, { cause: outcome.error })
    }
    for (const [key, document] of outcome.changed) {
      if (projection.partitions > 1) checkPartition(projection.name, key, event.stream, streamOf)
      if (document === null) documents.delete(key)
      else documents.set(key, document)
    }
    effects.push(...outcome.effects)
  }
  return {
    get: (key) => documents.get(key) as Document | undefined,
    documents: Object.fromEntries(documents) as Record<string, Document>,
    effects,
  }
}

function applied(
  projection: ProjectionDefinition,
  catalog: EventCatalog,
  event: RecordedEvent,
  documents: Documents,
): FoldOutcome {
  const prepared = prepare(projection, catalog, event)
  if (!prepared.ok) return prepared
  const sequence: unknown = projection.sequence(prepared.event)
  if (typeof sequence !== 'string') {
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `The projection ${projection.name} named the sequence of ${event.type} with ${String(sequence)}; return a string.`,
    )
  }
  return fold(projection, prepared, documents)
}

/** The events as the log would store them. */
function recordedEvents(
  events: readonly (Recorded & { type: string; data: unknown; schemaVersion?: number | undefined })[],
  catalog: EventCatalog,
): RecordedEvent[] {
  const versions = new Map<string, number>()
  return events.map((event, index) => {
    const stream = event.stream ?? 'stream-1'
    const version = event.version ?? (versions.get(stream) ?? 0) + 1
    versions.set(stream, version)
    const position = index + 1
    return {
      position,
      id: `00000000-0000-7000-8000-${String(position).padStart(12, '0')}`,
      metadata: { commandId: `command-${position}`, correlationId: `command-${position}` },
      recordedAt: '2020-01-01T00:00:00.000Z',
      ...event,
      stream,
      version,
      schemaVersion: event.schemaVersion ?? catalog.get(event.type).version,
      data: parseJson(JSON.stringify(event.data)),
    }
  })
}

/** @throws CqrsError CQRS_APP_INVALID if another stream has changed the document: it could be in another partition */
function checkPartition(
  projection: string,
  key: string,
  stream: string,
  streamOf: Map<string, string>,
): void {
  const other = streamOf.get(key) ?? stream
  streamOf.set(key, stream)
  if (other === stream) return
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `The projection ${projection} has partitions, but its document ${key} is changed by events of two streams, ` +
      `${other} and ${stream}; make each document from the events of one stream, or leave the partitions out.`,
  )
}
