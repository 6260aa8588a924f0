import type { CommandContext, CommandOutcome } from '../command/execute.ts'
import type { RecordedEvent } from '../kernel/event.ts'
import type { Rejection } from '../kernel/rejection.ts'

/** What a test gives to an app besides the app itself. */
export interface AppOptions {
  /**
   * The functions that effects call, by their ids, except commands of the app. Each gets the data of the effect with
   * its `idempotencyKey`, and as metadata the `correlationId` of the event and, as `causationId`, its id. Throw to let the
   * effect fail. A command of another app, `cmd::…`, gets its key in the metadata; if it returns a refusal, such as
   * `{ kind: 'rejected', rejection: { code, message } }`, the effect fails as well.
   */
  readonly functions?: Readonly<
    Record<string, (data: Record<string, unknown>, metadata: Record<string, unknown>) => unknown>
  >
  /** The clock of decisions and of `recordedAt`. Default the system's. */
  readonly now?: () => Date
  /** How many effects one {@link RunningApp.settle} carries out at most, in case they cause each other. Default 1,000. */
  readonly maxEffects?: number
}

/** An app that runs in the process of a test; see `runApp`. */
export interface RunningApp {
  /** What effects have published so far, in order. As subscribers get it, the data has the effect's `idempotencyKey`. */
  readonly published: readonly { readonly topic: string; readonly data: unknown }[]
  /**
   * Carries out a command.
   *
   * @param input as JSON would carry it: a `Date` arrives as a string, a field that is undefined does not arrive
   * @param context its `idempotencyKey`, `actor`, …; all may be left out
   * @throws CqrsError CQRS_UNKNOWN_COMMAND; CQRS_APP_INVALID if the decider did what it must not do
   */
  command(name: string, input: unknown, context?: Partial<CommandContext>): Promise<CommandOutcome>
  /**
   * Brings the query's view to the end of the log, and asks the query.
   *
   * @param input as that of a command
   * @returns its result, as JSON would carry it, or the rejection it returned
   * @throws CqrsError CQRS_VALIDATION if the input does not fit; CQRS_APP_INVALID if the app has no such query, or if an
   *   event was parked
   */
  query(name: string, input?: unknown): Promise<unknown | Rejection>
  /**
   * Brings all views to the end of the log and carries out the effects of reactors, over and over, until nothing is left
   * to do. What fails in one view keeps no other one from going on; the first failure is thrown at the end. What failed is
   * tried again by the next call.
   *
   * @throws CqrsError CQRS_APP_INVALID if an event was parked; Error if an effect was not carried out, with its reason:
   *   its function threw, its command was not accepted, or there is no such function
   */
  settle(): Promise<void>
  /** The events of the log, or those of a stream, oldest first. */
  events(stream?: string): Promise<RecordedEvent[]>
  /** Ends the app and removes its files. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
