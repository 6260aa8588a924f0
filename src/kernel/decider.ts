import type { z } from 'zod'
import type { DomainEvent, EventDefinition, EventOf } from './event.ts'
import type { HttpRoute } from './http-route.ts'
import type { Rejection } from './rejection.ts'

/** What a decision may know besides the command and the state. Passed in, so that deciding stays pure. */
export interface DecideContext {
  /** When the command is decided. */
  readonly now: Date
  readonly commandId: string
}

/** One command of a decider. */
export interface CommandDefinition<Input, State, Event extends DomainEvent> {
  /** What the command looks like; use `z.strictObject` so that unknown keys are refused. */
  readonly schema: z.ZodType<Input>
  readonly http?: HttpRoute
  /** The stream that the command is about. */
  stream(input: NoInfer<Input>): string
  /**
   * Decides: the events that happen (none is fine), or a rejection. Pure; called again with newer
   * state if another command was faster.
   */
  decide(input: NoInfer<Input>, state: State, context: DecideContext): readonly Event[] | Rejection
}

/** A decider: the commands on one kind of stream, and how its events make its state. */
export interface DeciderDefinition<
  State = unknown,
  Event extends DomainEvent = DomainEvent,
  Inputs extends Record<string, unknown> = Record<string, unknown>,
> {
  readonly name: string
  /** Version of the fold; snapshots that were made by another one are not used. */
  readonly version: number
  /** The text of the folds, by which a change of them is noticed. */
  readonly foldText: string
  readonly events: readonly EventDefinition[]
  /** The state of a stream that has no events. */
  initialState(): State
  /** Folds one event into the state. Pure. */
  evolve(state: State, event: Event): State
  readonly commands: { readonly [Name in keyof Inputs]: CommandDefinition<Inputs[Name], State, Event> }
}

type EvolveByType<State, Event extends DomainEvent> = {
  readonly [Type in Event['type']]: (state: State, event: Extract<Event, { type: Type }>) => State
}

type Commands<State, Event extends DomainEvent, Inputs> = {
  readonly [Name in keyof Inputs]: CommandDefinition<Inputs[Name], State, Event>
}

/** A decider whose state is known, without its folds. */
export interface DeciderBuilder<State, Event extends DomainEvent> {
  /** One pure fold per type of event. */
  evolve(folds: EvolveByType<State, Event>): {
    /** The commands by name; the function on the engine is `cmd::<name>`. */
    commands<Inputs extends Record<string, unknown>>(
      commands: Commands<State, Event, Inputs>,
    ): DeciderDefinition<State, Event, Inputs>
  }
}

/**
 * Defines a decider (Jérémie Chassaing, "Functional Event Sourcing Decider") in three steps, so that each
 * knows the types of the one before: `defineDecider({…}).evolve({…}).commands({…})`.
 *
 * @param options.name unique in the app
 * @param options.events every type of event that its streams hold
 * @param options.initialState makes the state of an empty stream
 * @param options.version of the fold, 1 if left out. Raise it when the folds make another state of the same events
 *   and the change is not in their own text but in a function that they call
 */
export function defineDecider<const Definitions extends readonly EventDefinition[], State>(options: {
  name: string
  events: Definitions
  initialState: () => State
  version?: number
}): DeciderBuilder<State, EventOf<Definitions[number]>> {
  return {
    evolve(folds) {
      // The table is checked per type where it is given; here it is only looked up by an event's type.
      const byType = new Map(
        Object.entries(folds as unknown as Record<string, (state: State, event: DomainEvent) => State>),
      )
      const foldText = [options.initialState, ...byType.values()].map(String).join('\n')
      return {
        commands: (commands) =>
          Object.freeze({
            version: 1,
            ...options,
            foldText,
            commands,
            evolve: (state: State, event: DomainEvent) => byType.get(event.type)?.(state, event) ?? state,
          }),
      }
    },
  }
}
