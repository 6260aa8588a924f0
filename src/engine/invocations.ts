import { randomUUID } from 'node:crypto'
import { withFunctionId } from './baggage.ts'
import { invokeFrame } from './frames.ts'
import type { BuiltinHandler, FunctionEntry, FunctionRegistry } from './functions.ts'
import type { EngineLogger } from './logger.ts'
import { failure, type Outcome } from './outcome.ts'
import type { RawJson } from './raw-json.ts'
import type { Session } from './session.ts'
import type { TraceContext } from './trace-context.ts'

/** A call to be routed. */
export interface Call extends TraceContext {
  readonly functionId: string
  readonly data: RawJson
  /** Passed to the handler as a separate argument, next to `data`. */
  readonly metadata?: RawJson | undefined
  /** The worker that waits for the answer, or that made a void call. */
  readonly caller?: Session | undefined
  /**
   * The id that the calling worker chose. The executor gets the same id, unless it is executing another call with that
   * id.
   */
  readonly invocationId?: string | undefined
}

/** A call that a worker executes. */
export interface Invocation {
  /** The id the executor knows it by. */
  readonly id: string
  readonly executor: Session
  readonly caller: Session | undefined
  readonly done: (outcome: Outcome) => void
}

const STOPPED = failure('invocation_stopped', 'Invocation stopped')

/** Routes calls to the owners of functions and their results back. */
export class Invocations {
  readonly #functions: FunctionRegistry
  readonly #logger: EngineLogger

  constructor(functions: FunctionRegistry, logger: EngineLogger) {
    this.#functions = functions
    this.#logger = logger
  }

  /**
   * Routes a call. `done` is called once with the outcome, possibly before this method returns. It is never called if
   * the caller's connection closes first, because then nobody waits.
   *
   * @returns the invocation, if a worker executes the call; a caller that stops waiting passes it to {@link giveUp}
   */
  invoke(call: Call, done: (outcome: Outcome) => void): Invocation | undefined {
    const entry = this.#functions.get(call.functionId)
    if (entry === undefined) {
      done(failure('function_not_found', `Function ${call.functionId} not found`))
    } else if (typeof entry.owner === 'function') {
      this.#runBuiltin(entry.owner, call, done)
    } else if (entry.handler !== undefined) {
      this.#runBuiltin(entry.handler, call, done)
    } else {
      return this.#sendTo(entry.owner, entry, call, done)
    }
    return undefined
  }

  /** Whether the function's worker is congested (see {@link Session.isCongested}), so that a call should be refused. */
  isCongested(functionId: string): boolean {
    const owner = this.#functions.get(functionId)?.owner
    return typeof owner === 'object' && owner.isCongested
  }

  /** {@link invoke} as a promise. It never rejects. */
  call(call: Call): Promise<Outcome> {
    return new Promise((resolve) => this.invoke(call, resolve))
  }

  /**
   * Ends the call that `executor` knows as `id`. A result is dropped if the executor has no such call in flight: its
   * caller is gone, or it belongs to another worker.
   *
   * @returns whether there was such a call
   */
  settle(executor: Session, id: string, outcome: Outcome): boolean {
    const invocation = executor.executing.get(id)
    if (invocation === undefined) return false
    this.#forget(invocation)
    invocation.done(outcome)
    return true
  }

  /** Stops waiting for a call. A result that still arrives is dropped. */
  giveUp(invocation: Invocation): void {
    this.#forget(invocation)
  }

  /** Ends the calls that a disconnected worker was executing, and forgets those that it was waiting for. */
  stopAll(session: Session): void {
    for (const invocation of session.calling) this.#forget(invocation)
    for (const invocation of [...session.executing.values()]) {
      this.#forget(invocation)
      invocation.done(STOPPED)
    }
  }

  #sendTo(executor: Session, entry: FunctionEntry, call: Call, done: (outcome: Outcome) => void): Invocation {
    const wished = call.invocationId
    const id = wished === undefined || executor.executing.has(wished) ? randomUUID() : wished
    const invocation: Invocation = { id, executor, caller: call.caller, done }
    executor.executing.set(id, invocation)
    call.caller?.calling.add(invocation)
    const traced = call.traceparent !== undefined || call.baggage !== undefined
    // If the frame is not taken, the executor is being cut off, which ends all its invocations.
    executor.send(
      invokeFrame({
        invocationId: id,
        quotedFunctionId: entry.quotedId,
        data: call.data,
        metadata: call.metadata,
        traceparent: call.traceparent,
        baggage: traced ? withFunctionId(call.baggage, entry.id) : undefined,
      }),
    )
    return invocation
  }

  async #runBuiltin(handler: BuiltinHandler, call: Call, done: (outcome: Outcome) => void): Promise<void> {
    let outcome: Outcome
    try {
      outcome = await handler({ data: call.data, caller: call.caller, trace: call })
    } catch (error) {
      this.#logger.error({ err: error, functionId: call.functionId }, 'a function of the engine failed')
      outcome = failure(
        'invocation_failed',
        `The function ${call.functionId} of the engine failed; its log says why.`,
      )
    }
    if (call.caller?.closed !== true) done(outcome)
  }

  #forget(invocation: Invocation): void {
    invocation.executor.executing.delete(invocation.id)
    invocation.caller?.calling.delete(invocation)
  }
}
