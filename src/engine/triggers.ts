import { isDeepStrictEqual } from 'node:util'
import type { EngineLogger } from './logger.ts'
import type { ErrorBody } from './outcome.ts'
import type { RawJson } from './raw-json.ts'
import type { Session } from './session.ts'

/** A binding of a trigger type to a function. */
export interface Trigger {
  readonly id: string
  readonly triggerType: string
  readonly functionId: string
  readonly config: unknown
  /** Passed to the handler, next to its data, on every run. */
  readonly metadata: RawJson | undefined
  /** The worker whose connection the binding depends on; undefined if it lasts until it is unregistered. */
  readonly owner: Session | undefined
}

/** Makes the triggers of a type fire. The methods return the reason of a refusal, or nothing if they accept. */
export interface TriggerProvider {
  /** Takes a new binding. A promise means that the provider was asked and has not answered yet. */
  register(trigger: Trigger): ErrorBody | undefined | Promise<ErrorBody | undefined>
  /** Takes a binding that was accepted before, without waiting for an answer. */
  replay(trigger: Trigger): ErrorBody | undefined
  unregister(trigger: Trigger): void
}

/** Why a provider refuses a binding. */
export function refusal(message: string): ErrorBody {
  return { code: 'trigger_registration_failed', message }
}

/** A kind of trigger. */
export interface TriggerType {
  readonly id: string
  readonly description: string
  /** JSON schemas of the configuration and of the function's input, if the provider gave them. */
  readonly configSchema: unknown
  readonly callSchema: unknown
  readonly provider: TriggerProvider
  /** The worker that provides it; undefined for a type of the engine. */
  readonly owner: Session | undefined
}

/** Takes the answer of a provider to one registration; undefined means accepted. */
export type TriggerAck = (error: ErrorBody | undefined) => void

/**
 * Trigger types and the bindings to them. A binding whose type nobody provides is parked, and handed
 * to the next provider; so workers may connect, die and come back in any order.
 */
export class TriggerRegistry {
  readonly #types = new Map<string, TriggerType>()
  readonly #live = new Map<string, Trigger>()
  readonly #parked = new Map<string, Trigger>()
  readonly #logger: EngineLogger

  constructor(logger: EngineLogger) {
    this.#logger = logger
  }

  type(id: string): TriggerType | undefined {
    return this.#types.get(id)
  }

  types(): Iterable<TriggerType> {
    return this.#types.values()
  }

  /** A live binding; parked ones do not count. */
  get(id: string): Trigger | undefined {
    return this.#live.get(id)
  }

  /** The live bindings. */
  values(): Iterable<Trigger> {
    return this.#live.values()
  }

  /**
   * Makes a type available, in place of its previous provider if there is one, and hands the existing bindings to it.
   */
  registerType(type: TriggerType): void {
    this.#types.set(type.id, type)
    for (const trigger of [...this.#live.values(), ...this.#parked.values()]) {
      if (trigger.triggerType === type.id) this.#activate(type, trigger)
    }
  }

  /**
   * Binds a trigger, or parks it while nobody provides its type. It replaces a binding with the same id. If that one
   * had another type or configuration, it ends even if the new binding is refused.
   *
   * @returns the provider's refusal, if any: at once if the provider knows, as a promise if it has to be asked
   */
  register(trigger: Trigger): ErrorBody | undefined | Promise<ErrorBody | undefined> {
    const before = this.#live.get(trigger.id)
    // Unless it is told, the provider keeps the old binding and fires it for ever.
    if (before !== undefined && !isSameBinding(before, trigger)) this.unregister(trigger.id)
    const type = this.#types.get(trigger.triggerType)
    if (type === undefined) {
      this.#logger.warn(
        { trigger: trigger.id, triggerType: trigger.triggerType, functionId: trigger.functionId },
        'trigger parked: nobody provides its type yet',
      )
      this.#live.delete(trigger.id)
      this.#parked.set(trigger.id, trigger)
      return undefined
    }
    const answer = type.provider.register(trigger)
    if (answer instanceof Promise) {
      return answer.then((error) => (error === undefined ? this.#acceptLate(type, trigger) : error))
    }
    return answer === undefined ? this.#accept(trigger) : answer
  }

  /** Unbinds a trigger; returns whether it existed, live or parked. */
  unregister(id: string): boolean {
    if (this.#parked.delete(id)) return true
    const trigger = this.#live.get(id)
    if (trigger === undefined) return false
    this.#live.delete(id)
    this.#types.get(trigger.triggerType)?.provider.unregister(trigger)
    return true
  }

  /**
   * Parks a live binding for the next provider, because its provider has refused it late. Returns the binding, or
   * undefined if `reporter` is not its provider.
   */
  refuse(id: string, reporter: Session): Trigger | undefined {
    const trigger = this.#live.get(id)
    if (trigger === undefined || this.#types.get(trigger.triggerType)?.owner !== reporter) return undefined
    this.#park(trigger, 'trigger parked: its provider refused it')
    return trigger
  }

  /** Removes the bindings of a disconnected worker, and parks all other bindings to the types that it provided. */
  removeSession(session: Session): void {
    for (const trigger of [...this.#live.values()]) {
      if (trigger.owner === session) this.unregister(trigger.id)
    }
    for (const trigger of [...this.#parked.values()]) {
      if (trigger.owner === session) this.#parked.delete(trigger.id)
    }
    for (const type of [...this.#types.values()]) {
      if (type.owner !== session) continue
      this.#types.delete(type.id)
      for (const trigger of [...this.#live.values()]) {
        if (trigger.triggerType === type.id)
          this.#park(trigger, 'trigger parked: the provider of its type is gone')
      }
    }
  }

  #activate(type: TriggerType, trigger: Trigger): void {
    const error = type.provider.replay(trigger)
    if (error === undefined) this.#accept(trigger)
    else this.#park(trigger, `trigger parked: ${error.message}`)
  }

  /** The provider that accepted may have gone or been replaced while it was being asked. */
  #acceptLate(asked: TriggerType, trigger: Trigger): undefined {
    const current = this.#types.get(trigger.triggerType)
    if (current === asked) this.#accept(trigger)
    else if (current === undefined) this.#park(trigger, 'trigger parked: the provider of its type is gone')
    else this.#activate(current, trigger)
  }

  #accept(trigger: Trigger): undefined {
    this.#parked.delete(trigger.id)
    this.#live.set(trigger.id, trigger)
  }

  #park(trigger: Trigger, why: string): void {
    this.#live.delete(trigger.id)
    this.#parked.set(trigger.id, trigger)
    this.#logger.warn({ trigger: trigger.id, triggerType: trigger.triggerType }, why)
  }
}

/** Whether a provider would do the same for both. */
function isSameBinding(one: Trigger, other: Trigger): boolean {
  return one.triggerType === other.triggerType && isDeepStrictEqual(one.config, other.config)
}
