import { withFunctionId } from './baggage.ts'
import type { InvokeFrame } from './frames.ts'
import type { Invocations } from './invocations.ts'
import { failure, type Outcome, success } from './outcome.ts'

/** The function whose owner is the queue provider. */
const ENQUEUE_FUNCTION = 'engine::queue::enqueue'

/**
 * Hands a call to the queue provider instead of to its function. `done` gets `{messageReceiptId}` once the provider has
 * taken the message, otherwise an `enqueue_error`.
 */
export function enqueue(
  invocations: Invocations,
  frame: InvokeFrame,
  queue: string,
  receiptId: string,
  done: (outcome: Outcome) => void,
): void {
  if (invocations.isCongested(ENQUEUE_FUNCTION)) {
    done(CONGESTED)
    return
  }
  const { traceparent, baggage } = frame
  const head = JSON.stringify({
    queue,
    function_id: frame.functionId,
    messageReceiptId: receiptId,
    traceparent: traceparent ?? null,
    baggage: withFunctionId(baggage, frame.functionId),
  })
  const data = `${head.slice(0, -1)},"data":${frame.data}}`
  invocations.invoke({ functionId: ENQUEUE_FUNCTION, data, traceparent, baggage }, (outcome) => {
    if (outcome.ok) done(success({ messageReceiptId: receiptId }))
    else if (outcome.error.code === 'function_not_found') done(NO_PROVIDER)
    else done(failure('enqueue_error', `${outcome.error.code}: ${outcome.error.message}`))
  })
}

const NO_PROVIDER = failure(
  'enqueue_error',
  `No queue provider is connected: nobody has registered ${ENQUEUE_FUNCTION}. Start a queue worker and try again.`,
)

/**
 * Such a message is not passed on. It could be the one that gets the provider cut off, and then everything that the
 * provider was about to store would be lost, too.
 */
const CONGESTED = failure(
  'enqueue_error',
  'More messages wait for the queue provider than it can take; this one was not stored. Try again in a moment.',
)
