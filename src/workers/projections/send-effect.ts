import type { IIIClient } from 'iii-sdk'
import { CqrsError } from '../../kernel/errors.ts'
import type { Effect } from '../../kernel/projection.ts'
import type { TracedEffect } from '../../projection/contract.ts'
import type { SendOutcome } from '../../projection/effect-sender.ts'
import { assertFitsFrame } from '../../projection/effect-size.ts'
import { LINK_LOST } from '../link/calls-in-flight.ts'
import { assertAccepted, COMMAND, cannotNow, isCommand } from '../link/refused-command.ts'
import { isCalleeSlow } from '../link/slow-callee.ts'

export interface SendOptions {
  /** How long the receiver may take to answer. */
  readonly timeoutMs: number
  /** The commands of the app, by their names. */
  readonly commands: ReadonlyMap<string, unknown>
}

/** The longest id that a command takes from its caller, in characters. */
const MAX_ID = 255

/**
 * Sends an effect through the engine. A command gets the idempotency key in the metadata of its call, where it looks
 * for it; whoever else takes the effect gets the key as a field of the data. The metadata of a call also has the
 * correlation id of the effect's event, and the id of that event as `causationId`.
 *
 * @throws the error of the function that takes it; an error if it is a command and was not accepted; CqrsError
 *   CQRS_UNKNOWN_COMMAND if nobody has the command and the app does not define it, so that waiting is of no use; CqrsError
 *   CQRS_TOO_LARGE if it does not fit into a frame, and then nothing is sent
 */
export async function sendEffect(
  iii: Pick<IIIClient, 'trigger'>,
  effect: TracedEffect,
  idempotencyKey: string,
  { timeoutMs, commands }: SendOptions,
): Promise<SendOutcome> {
  const { traceparent: _, sequence: __, correlationId, causationId, ...emitted } = effect
  assertFitsFrame(emitted)
  const begunAt = performance.now()
  try {
    const call = callOf(emitted, idempotencyKey, {
      ...(correlationId === undefined ? {} : { correlationId: correlationId.slice(0, MAX_ID) }),
      ...(causationId === undefined ? {} : { causationId: causationId.slice(0, MAX_ID) }),
    })
    assertAccepted(call.function_id, await iii.trigger({ ...call, timeoutMs }))
    return 'sent'
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code === 'invocation_stopped' || code === LINK_LOST) return 'stopped'
    if (code === 'function_not_found') {
      assertCommandExists(emitted, commands)
      return 'unreachable'
    }
    if (code === 'TIMEOUT' && !(await isCalleeSlow(iii, { begunAt, timeoutMs }))) return 'unreachable'
    if (effect.kind === 'call' && cannotNow(effect.functionId, error)) return 'unreachable'
    throw error
  }
}

/** @throws CqrsError CQRS_UNKNOWN_COMMAND if the effect calls a command that the app does not define */
function assertCommandExists(effect: Effect, commands: SendOptions['commands']): void {
  if (effect.kind !== 'call' || !isCommand(effect.functionId)) return
  const name = effect.functionId.slice(COMMAND.length)
  if (commands.has(name)) return
  throw new CqrsError(
    'CQRS_UNKNOWN_COMMAND',
    `The app has no command ${name}; it has: ${[...commands.keys()].join(', ')}. Correct the name in the reactor. What this ` +
      'effect should have done, do by hand; then discard it.',
  )
}

function callOf(
  effect: Effect,
  idempotencyKey: string,
  cause: Pick<TracedEffect, 'correlationId' | 'causationId'>,
) {
  if (effect.kind === 'call' && isCommand(effect.functionId)) {
    return { function_id: effect.functionId, payload: effect.data, metadata: { idempotencyKey, ...cause } }
  }
  const data = { ...effect.data, idempotencyKey }
  return effect.kind === 'publish'
    ? { function_id: 'publish', payload: { topic: effect.topic, data } }
    : { function_id: effect.functionId, payload: data, metadata: cause }
}
