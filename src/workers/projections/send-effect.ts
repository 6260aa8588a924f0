import type { IIIClient } from 'iii-sdk'
import type { Effect } from '../../kernel/projection.ts'
import type { TracedEffect } from '../../projection/contract.ts'
import type { SendOutcome } from '../../projection/effect-sender.ts'
import { assertFitsFrame } from '../../projection/effect-size.ts'
import { LINK_LOST } from '../link/calls-in-flight.ts'
import { assertAccepted, cannotNow, isCommand } from '../link/refused-command.ts'
import { isCalleeSlow } from '../link/slow-callee.ts'
import type { OtherCommands } from './other-commands.ts'

export interface SendOptions {
  /** How long the receiver may take to answer. */
  readonly timeoutMs: number
  /** Knows for how long a command of nobody is waited for. */
  readonly others: Pick<OtherCommands, 'met' | 'missed'>
}

/** The longest id that a command takes from its caller, in characters. */
const MAX_ID = 255

/**
 * Sends an effect through the engine. A command gets the idempotency key in the metadata of its call, where it looks
 * for it; whoever else takes the effect gets the key as a field of the data. The metadata of a call also has the
 * correlation id of the effect's event, and the id of that event as `causationId`.
 *
 * @throws the error of the function that takes it; an error if it is a command and was not accepted; CqrsError
 *   CQRS_UNKNOWN_COMMAND if it calls a command that the app does not define, and that nobody has offered for long (see
 *   {@link OtherCommands}); CqrsError CQRS_TOO_LARGE if it does not fit into a frame, and then nothing is sent
 */
export async function sendEffect(
  iii: Pick<IIIClient, 'trigger'>,
  effect: TracedEffect,
  idempotencyKey: string,
  { timeoutMs, others }: SendOptions,
): Promise<SendOutcome> {
  const { traceparent: _, sequence: __, correlationId, causationId, ...emitted } = effect
  assertFitsFrame(emitted)
  const begunAt = performance.now()
  const call = callOf(emitted, idempotencyKey, {
    ...(correlationId === undefined ? {} : { correlationId: correlationId.slice(0, MAX_ID) }),
    ...(causationId === undefined ? {} : { causationId: causationId.slice(0, MAX_ID) }),
  })
  try {
    assertAccepted(call.function_id, await iii.trigger({ ...call, timeoutMs }))
    others.met(call.function_id)
    return 'sent'
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code === 'function_not_found') {
      others.missed(call.function_id)
      return 'unreachable'
    }
    // Any other failure says that it is there, or nothing at all: the engine may be away.
    others.met(call.function_id)
    if (code === 'invocation_stopped' || code === LINK_LOST) return 'stopped'
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
