import { randomUUID } from 'node:crypto'
import { Channels } from './channels.ts'
import type { FunctionEntry } from './functions.ts'
import { FunctionRegistry } from './functions.ts'
import { type Call, Invocations } from './invocations.ts'
import type { EngineLogger } from './logger.ts'
import type { RawJson } from './raw-json.ts'
import type { Session } from './session.ts'
import type { TraceContext } from './trace-context.ts'
import { TriggerRegistry } from './triggers.ts'

/** The trigger type that fires when the set of function ids has changed. */
export const FUNCTIONS_AVAILABLE = 'engine::functions-available'
/** The trigger type that fires when workers connect, introduce themselves or leave. */
export const WORKERS_AVAILABLE = 'engine::workers-available'

/** The state of the running engine, which all workers share, including the built-in ones. */
export class Hub {
  readonly logger: EngineLogger
  readonly sessions = new Map<string, Session>()
  readonly functions: FunctionRegistry
  readonly invocations: Invocations
  readonly triggers: TriggerRegistry
  readonly channels = new Channels()
  /** Runs after function ids came or went. */
  onFunctionsChanged: () => void = () => {}

  constructor(logger: EngineLogger) {
    this.logger = logger
    this.functions = new FunctionRegistry(() => this.onFunctionsChanged())
    this.invocations = new Invocations(this.functions, logger)
    this.triggers = new TriggerRegistry(logger)
  }

  /** A worker has connected. */
  add(session: Session): void {
    this.sessions.set(session.id, session)
    session.greet()
    this.fire(WORKERS_AVAILABLE, JSON.stringify({ event: 'worker_connected', worker_id: session.id }))
  }

  /** A worker is gone: removes everything it had registered and ends the calls that it was executing. */
  remove(session: Session): void {
    if (session.closed) return
    session.closed = true
    this.sessions.delete(session.id)
    this.functions.unregisterAll(session)
    this.triggers.removeSession(session)
    for (const ack of [...session.triggerAcks.values()]) ack(undefined)
    this.invocations.stopAll(session)
    this.fire(WORKERS_AVAILABLE, JSON.stringify({ event: 'worker_disconnected', worker_id: session.id }))
  }

  /** Tells the functions bound to a trigger type what has changed in the engine, without waiting for their outcome. */
  fire(triggerType: string, data: RawJson): void {
    for (const trigger of [...this.triggers.values()]) {
      if (trigger.triggerType !== triggerType) continue
      // A worker that ends, as all do when the system stops, needs no such news any more.
      this.#run({ functionId: trigger.functionId, data, metadata: trigger.metadata }, 'debug')
    }
  }

  /** Runs one function for a trigger, without waiting for it. A failure is logged. */
  run(functionId: string, data: RawJson, metadata: RawJson | undefined, trace?: TraceContext): void {
    const { traceparent, baggage } = trace ?? {}
    this.#run({ functionId, data, metadata, traceparent, baggage }, 'info')
  }

  /** @param ifStopped level of the log line about a worker that ended: it drops its last calls, which is no failure */
  #run(call: Call, ifStopped: 'debug' | 'info'): void {
    const { functionId } = call
    this.invocations.invoke(call, (outcome) => {
      if (outcome.ok) return
      const { code, message } = outcome.error
      const level = code === 'invocation_stopped' ? ifStopped : 'warn'
      this.logger[level]({ functionId, code }, `a triggered function failed: ${message}`)
    })
  }

  /** Registers a function that runs inside the engine. */
  offer(entry: Omit<FunctionEntry, 'quotedId'>): void {
    this.functions.register(entry)
  }

  newId(): string {
    return randomUUID()
  }
}
