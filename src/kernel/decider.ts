import type { z } from 'zod'
import { assertHandlers, assertOptions, isList } from './definition.ts'
import { CqrsError } from './errors.ts'
import type { DomainEvent, EventDefinition, EventOf } from './event.ts'
import type { HttpRoute } from './http-route.ts'
import type { Rejection } from './rejection.ts'

/** What a decision can use besides the command and the state. Passed in, so that `decide` stays pure. */
export interface DecideContext {
  /** When the command is decided. */
  readonly now: Date
  readonly commandId: string
}

/** One command of a decider. */
export interface CommandDefinition<Input, State, Event extends DomainEvent> {
  /** Schema of the input. Use `z.strictObject` so that unknown keys are refused. */
  readonly schema: z.ZodType<Input>
  readonly http?: HttpRoute
  /** The stream that the command is about. */
  stream(input: NoInfer<Input>): string
  /**
   * Returns the events that happen (an empty list is fine), or a rejection. Pure. If another command was faster, it is
   * called again with the newer state.
   */
  decide(input: NoInfer<Input>, state: State, context: DecideContext): readonly Event[] | Rejection
}

/** A decider: the commands on one kind of stream, and how the stream's events build up its state. */
export interface DeciderDefinition<
  State = unknown,
  Event extends DomainEvent = DomainEvent,
  Inputs extends Record<string, unknown> = Record<string, unknown>,
> {
  readonly name: string
  /** Version of the fold. Snapshots made with another version are not used. */
  readonly version: number
  /** The source text of the folds, so that a change to them is noticed. */
  readonly foldText: string
  readonly events: readonly EventDefinition[]
  /** The state of a stream that has no events. */
  initialState(): State
  /** Folds one event into the state. Pure. */
  evolve(state: State, event: Event): State
  readonly commands: Commands<State, Event, Inputs>
}

type EvolveByType<State, Event extends DomainEvent> = {
  readonly [Type in Event['type']]: (state: State, event: Extract<Event, { type: Type }>) => State
}

type Commands<State, Event extends DomainEvent, Inputs> = {
  readonly [Name in keyof Inputs]: CommandDefinition<Inputs[Name], State, Event>
}

/** A decider that has its state type, but not yet its folds. */
export interface DeciderBuilder<State, Event extends DomainEvent> {
  /**
   * One pure fold per type of event. Each returns the new state; `null` is a state, `undefined` is none.
   *
   * @throws CqrsError CQRS_APP_INVALID if an event has no fold, a fold no event, or an option is unknown
   */
  evolve(folds: EvolveByType<State, Event>): {
    /** The commands by name; the function on the engine is `cmd::<name>`. */
    commands<Inputs extends Record<string, unknown>>(
      commands: Commands<State, Event, Inputs>,
    ): DeciderDefinition<State, Event, Inputs>
  }
}

/**
 * Defines a decider (Jérémie Chassaing, "Functional Event Sourcing Decider") in three steps, so that each step knows
 * the types of the one before: `defineDecider({…}).evolve({…}).commands({…})`.
 *
 * @param options.name unique in the app
 * @param options.events every type of event that its streams can hold
 * @param options.initialState returns the state of an empty stream
 * @param options.version of the fold, 1 if left out. A change to the text of the folds is noticed without it. Increase
 *   it when the folds produce a different state from the same events because a function that they call has changed
 */
export function defineDecider<const Definitions extends readonly EventDefinition[], State>(options: {
  name: string
  events: Definitions
  initialState: () => State
  version?: number
}): DeciderBuilder<State, EventOf<Definitions[number]>> {
  return {
    evolve(folds) {
      const byType = new Map(
        Object.entries(folds as unknown as Record<string, (state: State, event: DomainEvent) => State>),
      )
      assertOptions(`The decider ${options.name}`, options, ['name', 'events', 'initialState', 'version'])
      assertFolds(options, folds)
      const foldText = [options.initialState, ...byType.values()].map(String).join('\n')
      return {
        commands: (commands) =>
          Object.freeze({
            version: 1,
            ...options,
            foldText,
            commands,
            evolve(state: State, event: DomainEvent) {
              const fold = byType.get(event.type)
              return fold ? folded(options.name, event, state, fold(state, event)) : state
            },
          }),
      }
    },
  }
}

function assertFolds({ name, events }: { name: string; events: readonly EventDefinition[] }, folds: object) {
  assertHandlers(`The decider ${name}`, folds, events)
  if (!isList(events)) return
  const byType = new Map<string, unknown>(Object.entries(folds))
  const missing = events.map(({ type }) => type).filter((type) => typeof byType.get(type) !== 'function')
  if (missing.length === 0) return
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `The decider ${name} has no fold for ${missing.join(', ')}; add it to .evolve({…}). To ignore an event, return the state as it is.`,
  )
}

/** A fold without a result most likely lacks a `return`. On the state before, commands would be decided as if nothing had happened. */
function folded<State>(decider: string, { type }: DomainEvent, before: State, after: State): State {
  if (after !== undefined || before === undefined) return after
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `The fold of ${type} in the decider ${decider} returned nothing; return the new state, or null if there is none.`,
  )
}
