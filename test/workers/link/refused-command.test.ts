import { expect, test } from 'vitest'
import type { CommandOutcome } from '../../../src/command/execute.ts'
import { notFound } from '../../../src/kernel/rejection.ts'
import { assertAccepted, RefusedCommand } from '../../../src/workers/link/refused-command.ts'

type Refusal = Exclude<CommandOutcome, { kind: 'accepted' }>

/** Each refusal as a command answers it; the compiler asks for an example of every kind. */
const REFUSALS: { readonly [Kind in Refusal['kind']]: Extract<Refusal, { kind: Kind }> } = {
  rejected: { kind: 'rejected', rejection: notFound('unknown_item', 'There is no mug-1.') },
  invalid: { kind: 'invalid', issues: [{ field: 'quantity', problem: 'is missing' }] },
  'key-reused': { kind: 'key-reused' },
  conflict: { kind: 'conflict', attempts: 11 },
}

const REASONS: { readonly [Kind in Refusal['kind']]: string } = {
  rejected: 'unknown_item: There is no mug-1.',
  invalid: 'its input is not valid: quantity: is missing',
  'key-reused': 'its idempotency key was used for another command or input.',
  conflict: 'other commands kept changing the same stream (11 attempts).',
}

test.each(Object.values(REFUSALS))('a command that answers $kind was not accepted', (refusal) => {
  const message = `The command cmd::sell was not accepted: ${REASONS[refusal.kind]}`
  expect(() => assertAccepted('cmd::sell', refusal)).toThrow(new RefusedCommand(message))
})

test('an answer over HTTP with an error status is a refusal', () => {
  const answer = { status_code: 409, body: { error: { code: 'CQRS_CONFLICT', message: 'Try again.' } } }
  expect(() => assertAccepted('cmd::sell', answer)).toThrow('not accepted: CQRS_CONFLICT: Try again.')
})

test('an accepted command, and whatever another function answers, are fine', () => {
  const accepted: CommandOutcome = { kind: 'accepted', position: 1, version: 1, events: 1, replayed: false }
  assertAccepted('cmd::sell', accepted)
  assertAccepted('cmd::sell', { status_code: 200, body: accepted })
  assertAccepted('ship-parcel', REFUSALS.conflict)
})
