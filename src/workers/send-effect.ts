import type { IIIClient } from 'iii-sdk'
import { z } from 'zod'
import { describeIssues } from '../kernel/input.ts'
import type { Effect } from '../kernel/projection.ts'
import type { SendOutcome } from '../projection/effect-sender.ts'
import { assertFitsFrame } from '../projection/effect-size.ts'
import { LINK_LOST } from './calls-in-flight.ts'
import { isCalleeSlow } from './slow-callee.ts'

/** How long one effect may take to be sent, in milliseconds. */
const EFFECT_TIMEOUT_MS = 5_000

/** How the ids of functions that carry out commands begin. */
const COMMAND = 'cmd::'

/**
 * Sends an effect through the engine. A command gets the idempotency key in the metadata of its call, where it looks
 * for it; whoever else takes the effect gets the key as a field of the data.
 *
 * @throws the error of the function that takes it; an error if it is a command and was not accepted; CqrsError
 *   CQRS_TOO_LARGE if it does not fit into a frame, and then nothing is sent
 */
export async function sendEffect(
  iii: Pick<IIIClient, 'trigger'>,
  effect: Effect,
  idempotencyKey: string,
): Promise<SendOutcome> {
  assertFitsFrame(effect)
  const begunAt = performance.now()
  const timeoutMs = EFFECT_TIMEOUT_MS
  try {
    const answer = await iii.trigger({ ...callOf(effect, idempotencyKey), timeoutMs })
    if (isCommand(effect)) assertAccepted(effect.functionId, answer)
    return 'sent'
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code === 'invocation_stopped' || code === LINK_LOST) return 'stopped'
    if (code === 'function_not_found') return 'unreachable'
    if (code === 'TIMEOUT' && !(await isCalleeSlow(iii, { begunAt, timeoutMs }))) return 'unreachable'
    throw error
  }
}

function callOf(effect: Effect, idempotencyKey: string) {
  if (isCommand(effect)) {
    return { function_id: effect.functionId, payload: effect.data, metadata: { idempotencyKey } }
  }
  const data = { ...effect.data, idempotencyKey }
  return effect.kind === 'publish'
    ? { function_id: 'publish', payload: { topic: effect.topic, data } }
    : { function_id: effect.functionId, payload: data }
}

function isCommand(effect: Effect): effect is Effect & { kind: 'call' } {
  return effect.kind === 'call' && effect.functionId.startsWith(COMMAND)
}

/** The outcomes of a command that stored nothing; see `CommandOutcome` in src/command/execute.ts. */
const refusal = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rejected'), rejection: z.object({ code: z.string(), message: z.string() }) }),
  z.object({
    kind: z.literal('invalid'),
    issues: z.array(z.object({ field: z.string(), problem: z.string() })),
  }),
  z.object({ kind: z.literal('key-reused') }),
  z.object({ kind: z.literal('conflict'), attempts: z.number() }),
])

/** A command answers that it was refused instead of failing. Nothing else would show that its effect was lost. */
function assertAccepted(functionId: string, answer: unknown): void {
  const { data: refused } = refusal.safeParse(answer)
  if (refused) throw new Error(`The command ${functionId} was not accepted: ${reasonOf(refused)}`)
}

function reasonOf(refused: z.output<typeof refusal>): string {
  switch (refused.kind) {
    case 'rejected':
      return `${refused.rejection.code}: ${refused.rejection.message}`
    case 'invalid':
      return `its input is not valid: ${describeIssues(refused.issues)}`
    case 'key-reused':
      return 'its idempotency key was used for another command or input.'
    case 'conflict':
      return `other commands kept changing the same stream (${refused.attempts} attempts).`
  }
}
