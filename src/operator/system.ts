import type { ControlStore } from '../control/contract.ts'
import type { Place } from '../generations/place.ts'
import type { ViewReaders } from '../generations/view-readers.ts'
import type { App } from '../kernel/app.ts'
import type { Position } from '../kernel/position.ts'
import type { EventLog } from '../log/contract.ts'
import type { DigestMark } from '../projection/audit.ts'
import type { ViewStanding } from '../projection/contract.ts'
import type { ActionStore } from './action-store.ts'
import type { WorkerProcess } from './contract.ts'

/**
 * What the operations work on: the app, the log and the views, read directly from the stores, and the other workers,
 * reached through the engine.
 */
export interface System {
  readonly app: App
  readonly log: EventLog
  /** Which generations exist, and what was requested of them. */
  readonly control: ControlStore
  /** Reads any generation of any view. */
  readonly views: ViewReaders
  /** Size of a part of a view on disk, in bytes. */
  diskUse(place: Place): number
  /**
   * The state of the view of a unit (a projection or partition), read from its store; works without its worker, too.
   */
  standing(unit: string): Promise<ViewStanding>
  /** Seconds since a unit that is behind was first seen at its position; see seen-behind.ts. */
  behindFor(unit: string, position: Position): number
  /**
   * The worker that holds the projection of a unit with code that splits it into other partitions; undefined if there
   * is none.
   */
  splitOtherwise(unit: string): { readonly pid: number | undefined } | undefined
  /** The recorded marks of a view's digest after a position; the last one is its checkpoint. */
  marks(unit: string, after: Position, through: Position): Promise<readonly DigestMark[]>
  /**
   * Calls a function of another worker.
   *
   * @throws CqrsError CQRS_ENGINE_UNREACHABLE if no worker has the function or answers in time; otherwise the
   *   function's own error
   */
  call(functionId: string, payload: unknown): Promise<unknown>
  /** Like {@link call}, for a question that changes nothing: gives up soon if no answer comes. */
  ask(functionId: string, payload: unknown): Promise<unknown>
  /** What each worker process reports about itself; `silent` is the number of processes that did not answer in time. */
  processes(): Promise<{ readonly answers: readonly WorkerProcess[]; readonly silent: number }>
  /**
   * Space on the disk of the data folder, in bytes; `refusal` says why nothing can be written there, if that is the
   * case.
   */
  disk(): Promise<{ readonly free: number; readonly total: number; readonly refusal?: string | undefined }>
  /** The record of what operators did. */
  readonly actions: ActionStore
  /** The wall clock, which may be set. For what is stored and shown. */
  now(): Date
  /** A clock that never jumps, in milliseconds. For measuring how long something takes. */
  monotonic(): number
}
