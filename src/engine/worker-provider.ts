import { registerTriggerFrame, unregisterTriggerFrame } from './frames.ts'
import type { ErrorBody } from './outcome.ts'
import type { Session } from './session.ts'
import type { Trigger, TriggerProvider } from './triggers.ts'

/** A trigger type that a worker provides: bindings are handed over as frames. */
export class WorkerProvider implements TriggerProvider {
  readonly #session: Session
  readonly #ackTimeoutMs: number

  constructor(session: Session, ackTimeoutMs: number) {
    this.#session = session
    this.#ackTimeoutMs = ackTimeoutMs
  }

  /**
   * A worker's own binding is taken at once, and parked later if the provider refuses it. A binding
   * made through `engine::register_trigger` waits for the provider's answer, so that its caller
   * learns of a refusal; a provider that never answers counts as having accepted.
   */
  register(trigger: Trigger): ErrorBody | undefined | Promise<ErrorBody | undefined> {
    if (trigger.owner !== undefined) return this.replay(trigger)
    const answer = new Promise<ErrorBody | undefined>((resolve) => {
      const settle = (error: ErrorBody | undefined): void => {
        clearTimeout(timeout)
        this.#session.triggerAcks.delete(trigger.id)
        resolve(error)
      }
      const timeout = setTimeout(settle, this.#ackTimeoutMs, undefined)
      this.#session.triggerAcks.set(trigger.id, settle)
    })
    this.replay(trigger)
    return answer
  }

  replay(trigger: Trigger): undefined {
    this.#session.send(registerTriggerFrame(trigger))
  }

  unregister(trigger: Trigger): void {
    this.#session.send(unregisterTriggerFrame(trigger.id, trigger.triggerType))
  }
}
