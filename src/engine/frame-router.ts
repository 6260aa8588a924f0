import { parseJson } from '../kernel/json.ts'
import { enqueue } from './enqueue.ts'
import {
  errorFrame,
  type InvokeFrame,
  PONG_FRAME,
  type ReattachFrame,
  type RegisterFunctionFrame,
  type RegisterTriggerFrame,
  type RegisterTriggerTypeFrame,
  registrationRejectedFrame,
  resultFrame,
  triggerResultFrame,
  type WorkerFrame,
} from './frames.ts'
import { callHttpFunction, type HttpFunctionOptions } from './http-functions.ts'
import type { Hub } from './hub.ts'
import type { Ownership } from './options.ts'
import type { ErrorBody, Outcome } from './outcome.ts'
import { failure, rawSuccess } from './outcome.ts'
import type { BadFrame } from './parse-frame.ts'
import { withField } from './raw-json.ts'
import type { Session } from './session.ts'
import { WorkerProvider } from './worker-provider.ts'

/** The close status of a WebSocket for data that does not fit the protocol (RFC 6455, 7.4.1). */
const CLOSE_INVALID_DATA = 1007

/** Settings of {@link FrameRouter}. */
export interface FrameRouterOptions extends HttpFunctionOptions {
  /** How long the provider of a trigger type may take to accept a trigger. */
  readonly triggerAckTimeoutMs: number
  /** See {@link WorkerLimits.maxBufferedBytes}. */
  readonly maxBufferedBytes: number
  /** Which of two workers that register one function keeps it. */
  readonly ownership: Ownership
}

/** Does what the frames of workers ask for. */
export class FrameRouter {
  readonly #hub: Hub
  readonly #options: FrameRouterOptions

  constructor(hub: Hub, options: FrameRouterOptions) {
    this.#hub = hub
    this.#options = options
  }

  /** Handles one frame. A bad frame is answered, or closes its own connection; no other worker is affected. */
  route(session: Session, frame: WorkerFrame | BadFrame): void {
    switch (frame.type) {
      case 'invokefunction':
        this.#invoke(session, frame)
        return
      case 'invocationresult':
        this.#hub.invocations.settle(
          session,
          frame.invocationId,
          frame.error === undefined ? rawSuccess(frame.result) : { ok: false, error: frame.error },
        )
        return
      case 'registerfunction':
        this.#registerFunction(session, frame)
        return
      case 'unregisterfunction':
        this.#hub.functions.unregister(frame.id, session)
        return
      case 'registertrigger':
        this.#registerTrigger(session, frame)
        return
      case 'unregistertrigger':
        this.#hub.triggers.unregister(frame.id)
        return
      case 'registertriggertype':
        this.#registerTriggerType(session, frame)
        return
      case 'triggerregistrationresult':
        this.#triggerResult(session, frame.id, frame.error)
        return
      case 'reattach':
        this.#reattach(session, frame)
        return
      case 'ping':
        session.send(PONG_FRAME)
        return
      case 'ignored':
        return
      case 'bad':
        this.#bad(session, frame)
        return
    }
  }

  #invoke(session: Session, frame: InvokeFrame): void {
    const answer = this.#answerTo(session, frame)
    if (frame.action?.type === 'enqueue') {
      enqueue(this.#hub.invocations, frame, frame.action.queue, this.#hub.newId(), answer)
      return
    }
    this.#hub.invocations.invoke(
      {
        functionId: frame.functionId,
        data: dataWithCaller(frame, session.id),
        metadata: frame.metadata,
        traceparent: frame.traceparent,
        baggage: frame.baggage,
        caller: session,
        invocationId: frame.action === undefined ? frame.invocationId : undefined,
      },
      frame.action === undefined ? answer : ignore,
    )
  }

  #answerTo(session: Session, frame: InvokeFrame): (outcome: Outcome) => void {
    // Only these fields of the frame are kept. The whole frame would keep its data in memory until the function
    // answers.
    const { invocationId, functionId, traceparent, baggage } = frame
    if (invocationId === undefined) return ignore
    return (answered) => {
      const outcome = this.#sendable(answered)
      session.send(
        resultFrame({
          invocationId,
          functionId,
          result: outcome.ok ? outcome.result : undefined,
          error: outcome.ok ? undefined : outcome.error,
          traceparent,
          baggage,
        }),
      )
    }
  }

  /**
   * Turns a result that is too large into an error. If it were sent, the calling worker would be cut off like one that
   * does not read, and again each time that it repeats the call.
   */
  #sendable(outcome: Outcome): Outcome {
    const limit = this.#options.maxBufferedBytes - FRAME_OVERHEAD
    const result = (outcome.ok && outcome.result) || ''
    // A UTF-16 unit takes at most three bytes in UTF-8. So most results need not be counted exactly, which costs a look
    // at each character.
    if (result.length * 3 <= limit) return outcome
    const bytes = Buffer.byteLength(result)
    if (bytes <= limit) return outcome
    return failure(
      'RESULT_TOO_LARGE',
      `The answer has ${bytes} bytes; the engine sends a worker at most ${limit}.`,
    )
  }

  #registerFunction(session: Session, frame: RegisterFunctionFrame): void {
    const { endpoint } = frame
    const owner = this.#hub.functions.get(frame.id)?.owner
    if (this.#options.ownership === 'first' && owner !== undefined && owner !== session) {
      session.send(registrationRejectedFrame(frame.id, typeof owner === 'object' ? owner.id : ''))
      return
    }
    const handler = endpoint && callHttpFunction(frame.id, endpoint, this.#options)
    const previous = this.#hub.functions.register({ ...frame, owner: session, handler })
    if (previous !== undefined && previous !== session) {
      this.#hub.logger.warn(
        { functionId: frame.id, worker: session.id },
        'function taken over from another owner',
      )
    }
  }

  #registerTrigger(session: Session, frame: RegisterTriggerFrame): void {
    const { id, triggerType, functionId, config, metadata } = frame
    const refusal = this.#hub.triggers.register({
      id,
      triggerType,
      functionId,
      config,
      metadata,
      owner: session,
    })
    // A promise comes only for a binding without an owner. A worker's own binding is refused at once, or later by its
    // provider's frame.
    if (refusal === undefined || refusal instanceof Promise) return
    session.send(triggerResultFrame({ id, triggerType, functionId, error: refusal }))
  }

  #registerTriggerType(session: Session, frame: RegisterTriggerTypeFrame): void {
    this.#hub.triggers.registerType({
      id: frame.id,
      description: frame.description,
      configSchema: frame.triggerRequestFormat,
      callSchema: frame.callRequestFormat,
      provider: new WorkerProvider(session, this.#options.triggerAckTimeoutMs),
      owner: session,
    })
  }

  #triggerResult(session: Session, id: string, error: ErrorBody | undefined): void {
    const ack = session.triggerAcks.get(id)
    if (ack !== undefined) {
      ack(error)
      return
    }
    const trigger = error === undefined ? undefined : this.#hub.triggers.refuse(id, session)
    if (trigger === undefined || error === undefined) return
    trigger.owner?.send(
      triggerResultFrame({ id, triggerType: trigger.triggerType, functionId: trigger.functionId, error }),
    )
  }

  #reattach(session: Session, frame: ReattachFrame): void {
    const previous = this.#hub.sessions.get(frame.previousWorkerId)
    if (previous === undefined || previous === session) return
    if (!previous.isReattachedBy(frame.reattachToken)) {
      this.#hub.logger.warn({ worker: session.id, previous: previous.id }, 'reattach ignored: wrong token')
      return
    }
    // Clean up now, so that the registrations that follow this frame do not collide with the old ones.
    this.#hub.remove(previous)
    previous.terminate()
  }

  #bad(session: Session, frame: BadFrame): void {
    this.#hub.logger.warn({ worker: session.id, code: frame.error.code }, `bad frame: ${frame.error.message}`)
    if (frame.fatal) {
      session.send(errorFrame(frame.error))
      session.close(CLOSE_INVALID_DATA, 'not a JSON frame')
      return
    }
    const { about, error } = frame
    if (about?.type === 'invokefunction') {
      session.send(
        resultFrame({ ...about, result: undefined, error, traceparent: undefined, baggage: undefined }),
      )
    } else if (about?.type === 'invocationresult') {
      const message = `The worker answered with a frame that the engine refuses: ${error.message}`
      this.#hub.invocations.settle(session, about.invocationId, failure(error.code, message))
    } else {
      session.send(errorFrame(error))
    }
  }
}

function ignore(): void {}

/** The most bytes that a frame has besides its result. */
const FRAME_OVERHEAD = 65_536

/** Adds the id of the calling worker to the payload of a call, if that is an object. */
function dataWithCaller(frame: InvokeFrame, callerId: string): string {
  if (!frame.dataIsObject) return frame.data
  if (!frame.dataNamesCaller) return withField(frame.data, '_caller_worker_id', `"${callerId}"`)
  const data = parseJson(frame.data) as Record<string, unknown>
  return JSON.stringify({ ...data, _caller_worker_id: callerId })
}
