import { hash } from 'node:crypto'
import type { IIIClient } from 'iii-sdk'
import { reachedNextTurn } from '../../boundaries.ts'
import { isCqrsError } from '../../kernel/errors.ts'
import { parseJson } from '../../kernel/json.ts'
import type { DeliverToFunction, DeliveryRequest } from '../../queue/queue.ts'
import type { DeliveryOutcome } from '../../queue/runner.ts'
import { assertAccepted, cannotNow, isCommand, RefusedCommand } from '../link/refused-command.ts'
import { fromRemote } from '../link/remote-error.ts'
import { isCalleeSlow } from '../link/slow-callee.ts'
import type { Metrics } from '../process/metrics.ts'
import type { Tracing } from '../process/tracing.ts'

/** The longest error that is stored with a message, in characters. */
const MAX_ERROR = 4_000

type Trigger = (call: Parameters<IIIClient['trigger']>[0]) => Promise<unknown>

/** Delivers messages by calling their functions through the engine. */
export function deliverBy(
  iii: Pick<IIIClient, 'trigger'>,
  tracing: Pick<Tracing, 'within'>,
): DeliverToFunction {
  return async (request) => {
    const { traceparent } = request.message
    const timeoutMs = request.settings.timeout_ms
    let begunAt = 0
    const trigger: Trigger = (call) => {
      begunAt = performance.now()
      return tracing.within(traceparent, () => iii.trigger({ ...call, timeoutMs }))
    }
    try {
      const payload = parseJson(request.message.data)
      if (await isWanted(trigger, request, payload)) {
        const answered = trigger(callOf(request, payload))
        reachedNextTurn('delivery-started', request.queue)
        assertAccepted(request.message.functionId, await answered)
      }
      return { outcome: 'done' }
    } catch (error) {
      const isTimeout = (error as { code?: unknown }).code === 'TIMEOUT'
      if (isTimeout && !(await isCalleeSlow(iii, { begunAt, timeoutMs }))) return { outcome: 'unsent' }
      if (cannotNow(request.message.functionId, error)) return { outcome: whileItLasts(error) }
      return toOutcome(error)
    }
  }
}

/**
 * A command gets an idempotency key that is the same for each delivery of the message, so that it is carried out once.
 * The name of a queue may have characters that a key may not have, so the key is a hash.
 */
function callOf({ queue, message: { id, functionId } }: DeliveryRequest, payload: unknown) {
  const call = { function_id: functionId, payload }
  if (!isCommand(functionId)) return call
  return { ...call, metadata: { idempotencyKey: `queue:${hash('sha256', JSON.stringify([queue, id]))}` } }
}

/** The same, with each delivery counted. */
export function counted(
  deliver: DeliverToFunction,
  metrics: Pick<Metrics, 'delivery'> | undefined,
): DeliverToFunction {
  if (!metrics) return deliver
  return async (request) => {
    const ended = metrics.delivery(request.queue, request.message.attempts)
    const outcome = await deliver(request)
    ended(outcome)
    return outcome
  }
}

/** Whether a message is to be delivered. A subscriber's condition skips it by answering `false`, and nothing else. */
async function isWanted(
  trigger: Trigger,
  { subscription }: DeliveryRequest,
  payload: unknown,
): Promise<boolean> {
  const condition = subscription?.conditionFunctionId
  if (condition === undefined) return true
  const answer: unknown = await trigger({ function_id: condition, payload })
  return answer !== false
}

/**
 * If the store is full, say, no command is stored at all: one message finds out when that is over, and all others wait for
 * it. If too many commands wait, some are stored all the time, and each message is tried again by itself.
 */
function whileItLasts(error: unknown): 'missing' | 'unsent' {
  return isCqrsError(fromRemote(error), 'CQRS_OVERLOADED') ? 'unsent' : 'missing'
}

/** What the engine's error code (see iii's wire protocol) says about the delivery. */
function toOutcome(error: unknown): DeliveryOutcome {
  if (error instanceof RefusedCommand) return { outcome: 'failed', error: error.message.slice(0, MAX_ERROR) }
  const { code, message } = error as { code?: unknown; message?: unknown }
  const text = String(message ?? error).slice(0, MAX_ERROR)
  if (code === 'function_not_found') return { outcome: 'missing' }
  if (code === 'invocation_stopped') return { outcome: 'stopped', error: text }
  // The SDK rejects without a code only if it is shut down while the call is in flight.
  if (typeof code !== 'string') return { outcome: 'unsent' }
  return { outcome: 'failed', error: text.includes(code) ? text : `${code}: ${text}` }
}
