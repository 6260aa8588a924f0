import type { IIIClient } from 'iii-sdk'
import type { Effect } from '../kernel/projection.ts'
import type { SendOutcome } from '../projection/effect-sender.ts'
import { assertFitsFrame } from '../projection/effect-size.ts'
import { LINK_LOST } from './calls-in-flight.ts'
import { isCalleeSlow } from './slow-callee.ts'

/** How long one effect may take to be sent, in milliseconds. */
const EFFECT_TIMEOUT_MS = 5_000

/**
 * Sends an effect through the engine.
 *
 * @throws the error of the function that takes it; CqrsError CQRS_TOO_LARGE if it does not fit into a frame, and then
 *   nothing is sent
 */
export async function sendEffect(
  iii: Pick<IIIClient, 'trigger'>,
  effect: Effect,
  idempotencyKey: string,
): Promise<SendOutcome> {
  const data = { ...effect.data, idempotencyKey }
  const [function_id, payload] =
    effect.kind === 'publish' ? ['publish', { topic: effect.topic, data }] : [effect.functionId, data]
  assertFitsFrame(effect)
  const begunAt = performance.now()
  const timeoutMs = EFFECT_TIMEOUT_MS
  try {
    await iii.trigger({ function_id, payload, timeoutMs })
    return 'sent'
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code === 'invocation_stopped' || code === LINK_LOST) return 'stopped'
    if (code === 'function_not_found') return 'unreachable'
    if (code === 'TIMEOUT' && !(await isCalleeSlow(iii, { begunAt, timeoutMs }))) return 'unreachable'
    throw error
  }
}
