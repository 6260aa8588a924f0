/**
 * The public entry of `iii-durable-cqrs`: everything that an app is written with. The rest of src is the system that
 * runs the app, and may change without notice.
 *
 * An app is a module whose default export is `defineApp({…})`; `CQRS_APP=./my-app.ts npx cqrs up` runs it. The kit for
 * testing deciders is the entry `iii-durable-cqrs/testing`.
 */
export { type App, defineApp } from './kernel/app.ts'
export {
  type CommandDefinition,
  type DecideContext,
  type DeciderDefinition,
  defineDecider,
} from './kernel/decider.ts'
export { CqrsError, type ErrorCode, isCqrsError } from './kernel/errors.ts'
export {
  type DomainEvent,
  defineEvent,
  type EventDefinition,
  type EventMetadata,
  type EventOf,
  type RecordedEvent,
  type RecordedEventOf,
  type Upcaster,
} from './kernel/event.ts'
export type { HttpRoute } from './kernel/http-route.ts'
export type { Position } from './kernel/position.ts'
export {
  defineProjection,
  defineReactor,
  type Effect,
  type Emit,
  type ProjectionDefinition,
} from './kernel/projection.ts'
export {
  defineLogQuery,
  defineQuery,
  type FindOptions,
  type LogReader,
  type Page,
  type QueryDefinition,
  type ViewReader,
} from './kernel/query.ts'
export { conflict, notFound, type Rejection } from './kernel/rejection.ts'
