import { deepStrictEqual } from 'node:assert/strict'
import type { DecideContext, DeciderDefinition } from './decider.ts'
import { CqrsError } from './errors.ts'
import { type DomainEvent, EventCatalog } from './event.ts'
import { freezePlain } from './freeze-plain.ts'
import { describeIssues, parseInput } from './input.ts'
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
 * Tests a decider without a store: `given(decider, ...history).when('sell-item', {…}).thenEvents({…})`. As in production,
 * the input is parsed with the command's schema, state and input are frozen, and every event has to fit its schema.
 *
 * @throws CqrsError CQRS_VALIDATION (from `when`) if the input does not fit; CQRS_APP_INVALID if an event of the history
 *   or of the decision does not, or if the decision is neither a list of events nor a rejection
 */
export function given<State, Event extends DomainEvent, Inputs extends Record<string, unknown>>(
  decider: DeciderDefinition<State, Event, Inputs>,
  ...history: Event[]
): DeciderWhen<Event, Inputs> {
  const catalog = new EventCatalog(decider.events)
  const state = history.reduce(
    (folded, event) => freezePlain(decider.evolve(folded, fitting(catalog, event, 'The history has'))),
    freezePlain(decider.initialState()),
  )
  return {
    when(command, input, context = {}) {
      const definition = decider.commands[command]
      const parsed = parseInput(definition.schema, input)
      if (!parsed.ok) {
        const message = `The input of ${command} does not fit its schema: ${describeIssues(parsed.issues)}.`
        throw new CqrsError('CQRS_VALIDATION', message, { details: { issues: parsed.issues } })
      }
      const outcome: unknown = definition.decide(freezePlain(parsed.value), state, {
        now: new Date('2020-01-01T00:00:00Z'),
        commandId: 'command-1',
        ...context,
      })
      if (Array.isArray(outcome)) for (const event of outcome) fitting(catalog, event, `${command} made`)
      else if (!isRejection(outcome)) {
        const message = `The decider ${decider.name} answered ${command} with ${String(outcome)}; return an array of events or a rejection.`
        throw new CqrsError('CQRS_APP_INVALID', message)
      }
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

/** The event as its schema reads it. @throws CqrsError CQRS_APP_INVALID if it does not fit, or is none of the decider's */
function fitting<Event extends DomainEvent>(catalog: EventCatalog, event: Event, whose: string): Event {
  const read = parseInput(catalog.get(event.type).schema, event.data)
  if (read.ok) return freezePlain({ ...event, data: read.value })
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `${whose} an event ${event.type} that does not fit its schema: ${describeIssues(read.issues)}.`,
  )
}
