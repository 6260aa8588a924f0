/**
 * The public entry `iii-durable-cqrs/testing`: tests of deciders, projections and reactors that need no store. It
 * throws `AssertionError` or CqrsError, so it works with any test runner.
 */
export { type DeciderThen, type DeciderWhen, given } from './kernel/testing.ts'
export { type GivenEvent, type Projected, project } from './projection/testing.ts'
