import type { z } from 'zod'
import { assertOptions } from './definition.ts'
import { CqrsError } from './errors.ts'
import type { RecordedEvent } from './event.ts'
import type { HttpRoute } from './http-route.ts'
import type { ProjectionDefinition } from './projection.ts'
import type { Rejection } from './rejection.ts'

/** A page of documents, and the cursor of the next page if there is one. */
export interface Page<Document> {
  readonly items: readonly Document[]
  readonly next: string | undefined
}

/** Which documents, in which order. */
export interface FindOptions<Index extends string = string> {
  /** The index of the projection to search and sort by; the key if left out. */
  readonly by?: Index
  /** Only documents whose indexed field equals this. Leave it out to find all: undefined is no value to search for. */
  readonly equals?: string | number | boolean
  /** Only documents whose indexed field is at least this. */
  readonly from?: string | number | undefined
  /** Only documents whose indexed field is at most this. */
  readonly to?: string | number | undefined
  readonly order?: 'ascending' | 'descending' | undefined
  /**
   * The most documents on the page. The page has fewer if they would have more than 8,388,608 characters of JSON
   * together; `next` then continues after the last one.
   */
  readonly limit: number
  /** `next` of the previous page. */
  readonly cursor?: string | undefined
}

/** Reads one consistent state of a view. */
export interface ViewReader<Document, Index extends string = string> {
  get(key: string): Promise<Document | undefined>
  /** @throws CqrsError CQRS_VALIDATION if the field is not an index or the cursor is not from this query */
  find(options: FindOptions<Index>): Promise<Page<Document>>
}

/** Reads the event log. */
export interface LogReader {
  /**
   * The events of a stream, newest first, below `before` (a version) if given. At least one if there is any, and fewer
   * than `limit` if together they would have more than about 8 MiB of JSON; `before` with the last one's version goes on.
   */
  history(
    stream: string,
    options: { limit: number; before?: number | undefined },
  ): Promise<readonly RecordedEvent[]>
}

/** A question to a view, or to the log itself. */
export interface QueryDefinition<Input = unknown, Result = unknown, Source = unknown> {
  readonly name: string
  /** The view it reads; undefined for the log. */
  readonly projection: ProjectionDefinition | undefined
  readonly input: z.ZodType<Input>
  readonly http?: HttpRoute
  run(source: Source, input: Input): Promise<Result | Rejection> | Result | Rejection
}

/**
 * Defines a query on a view. The function on the engine is `query::<name>`.
 *
 * @param options.reads the projection
 * @param options.input schema of the question; over HTTP every field arrives as text, so coerce numbers
 * @param options.run answers, or rejects with `notFound(…)`
 * @throws CqrsError CQRS_APP_INVALID if `reads` is missing, or an option is unknown
 */
export function defineQuery<Document, Index extends string, Input, Result>(options: {
  name: string
  reads: ProjectionDefinition<Document, Index>
  input: z.ZodType<Input>
  http?: HttpRoute
  run: (view: ViewReader<Document, Index>, input: Input) => Promise<Result | Rejection> | Result | Rejection
}): QueryDefinition<Input, Result, ViewReader<Document, Index>> {
  const { reads, ...rest } = options
  if (!reads) {
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `The query ${options.name} has no "reads": name the projection that it reads, or use defineLogQuery to read the log.`,
    )
  }
  assertOptions(`The query ${options.name}`, options, ['name', 'reads', 'input', 'http', 'run'])
  return Object.freeze({ ...rest, projection: reads })
}

/**
 * Defines a query on the event log itself, e.g. the history of one stream.
 *
 * @throws CqrsError CQRS_APP_INVALID if an option is unknown
 */
export function defineLogQuery<Input, Result>(options: {
  name: string
  input: z.ZodType<Input>
  http?: HttpRoute
  run: (log: LogReader, input: Input) => Promise<Result | Rejection> | Result | Rejection
}): QueryDefinition<Input, Result, LogReader> {
  assertOptions(`The query ${options.name}`, options, ['name', 'input', 'http', 'run'])
  return Object.freeze({ ...options, projection: undefined })
}
