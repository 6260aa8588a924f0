import type { IIIClient } from 'iii-sdk'
import type { Effect } from '../../kernel/projection.ts'
import type { TracedEffect } from '../../projection/contract.ts'
import type { SendOutcome } from '../../projection/effect-sender.ts'
import { assertFitsFrame } from '../../projection/effect-size.ts'
import { LINK_LOST } from '../link/calls-in-flight.ts'
import { assertAccepted, cannotNow, isCommand } from '../link/refused-command.ts'
import { isCalleeSlow } from '../link/slow-callee.ts'

/** The longest id that a command takes from its caller, in characters. */
const MAX_ID = 255

/**
 * Sends an effect through the engine. A command gets the idempotency key in the metadata of its call, where it looks
 * for it; whoever else takes the effect gets the key as a field of the data. The metadata of a call also has the
 * correlation id of the effect's event, and the id of that event as `causationId`.
 *
 * @param timeoutMs how long the receiver has to answer, in milliseconds
 * @throws the error of the function that takes it; an error if it is a command and was not accepted; CqrsError
 *   CQRS_TOO_LARGE if it does not fit into a frame, and then nothing is sent
 */
export async function sendEffect(
  iii: Pick<IIIClient, 'trigger'>,
  effect: TracedEffect,
  idempotencyKey: string,
  timeoutMs: number,
): Promise<SendOutcome> {
  const { traceparent: _, correlationId, causationId, ...emitted } = effect
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
    if (code === 'function_not_found') return 'unreachable'
    if (code === 'TIMEOUT' && !(await isCalleeSlow(iii, { begunAt, timeoutMs }))) return 'unreachable'
    if (effect.kind === 'call' && cannotNow(effect.functionId, error)) return 'unreachable'
    throw error
  }
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
