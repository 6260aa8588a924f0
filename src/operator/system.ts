import type { ControlStore } from '../control/contract.ts'
import type { Place } from '../generations/place.ts'
import type { ViewReaders } from '../generations/view-readers.ts'
import type { App } from '../kernel/app.ts'
import type { Position } from '../kernel/position.ts'
import type { EventLog } from '../log/contract.ts'
import type { DigestMark } from '../projection/audit.ts'
import type { ViewStanding } from '../projection/contract.ts'
import type { ActionStore } from './actions.ts'
import type { WorkerProcess } from './contract.ts'

/**
 * What the operator's use cases work on: the app, the log and the views as they lie in the stores, and
 * the other workers through the engine.
 */
export interface System {
  readonly app: App
  readonly log: EventLog
  /** Which generations there are, and what is wished of them. */
  readonly control: ControlStore
  /** Any generation of any view. */
  readonly views: ViewReaders
  /** What a part of a view takes on the disk, in bytes. */
  diskUse(place: Place): number
  /** How the view of a unit stands, read from its store, whether its worker lives or not. */
  standing(unit: string): Promise<ViewStanding>
  /** Seconds since a unit that is behind was first seen at its position; see seen-behind.ts. */
  behindFor(unit: string, position: Position): number
  /** Who works on the projection of a unit with code that splits it otherwise than this app; undefined if nobody does. */
  splitOtherwise(unit: string): { readonly pid: number | undefined } | undefined
  /** Marks of a view's digest beyond a position, its checkpoint last. */
  marks(unit: string, after: Position, through: Position): Promise<readonly DigestMark[]>
  /**
   * Calls a function of another worker.
   *
   * @throws CqrsError CQRS_ENGINE_UNREACHABLE if nobody owns it or answers in time; what it throws if it fails
   */
  call(functionId: string, payload: unknown): Promise<unknown>
  /** The same for a question that changes nothing: whoever does not answer soon is done without. */
  ask(functionId: string, payload: unknown): Promise<unknown>
  /** What each worker process of the engine says of itself; `silent` of them did not answer in time. */
  processes(): Promise<{ readonly answers: readonly WorkerProcess[]; readonly silent: number }>
  /** Room on the disk of the data folder, in bytes, and why nothing can be written there if that is so. */
  disk(): Promise<{ readonly free: number; readonly total: number; readonly refusal?: string | undefined }>
  /** What operators did. */
  readonly actions: ActionStore
  now(): Date
}
