import { deepStrictEqual } from 'node:assert/strict'
import type { DecideContext, DeciderDefinition } from './decider.ts'
import type { DomainEvent } from './event.ts'
import { isRejection, type Rejection } from './rejection.ts'

/** The last step of a specification: the expected decision. */
export interface DeciderThen<Event extends DomainEvent> {
  /** Exactly these events happen. @throws AssertionError with the difference */
  thenEvents(...events: Event[]): void
  /** The command is rejected with this code. @throws AssertionError with the difference */
  thenRejected(code: string): Rejection
}

/** The step in the middle: the command that arrives. */
export interface DeciderWhen<Event extends DomainEvent, Inputs extends Record<string, unknown>> {
  when<Name extends keyof Inputs & string>(
    command: Name,
    input: Inputs[Name],
    context?: Partial<DecideContext>,
  ): DeciderThen<Event>
}

/**
 * Tests a decider without a store: `given(decider, ...history).when('sell-item', {…}).thenEvents({…})`. The input is
 * parsed with the command's schema, as in production.
 */
export function given<State, Event extends DomainEvent, Inputs extends Record<string, unknown>>(
  decider: DeciderDefinition<State, Event, Inputs>,
  ...history: Event[]
): DeciderWhen<Event, Inputs> {
  const state = history.reduce((folded, event) => decider.evolve(folded, event), decider.initialState())
  return {
    when(command, input, context = {}) {
      const definition = decider.commands[command]
      const outcome = definition.decide(definition.schema.parse(input), state, {
        now: new Date('2020-01-01T00:00:00Z'),
        commandId: 'command-1',
        ...context,
      })
      return {
        thenEvents: (...events) => deepStrictEqual(outcome, events),
        thenRejected(code) {
          if (!isRejection(outcome)) deepStrictEqual(outcome, { rejected: code })
          deepStrictEqual((outcome as Rejection).code, code)
          return outcome as Rejection
        },
      }
    },
  }
}
