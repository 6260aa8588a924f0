import type { Hub } from '../hub.ts'
import type { ErrorBody } from '../outcome.ts'
import type { RawJson } from '../raw-json.ts'
import { refusal, type Trigger, type TriggerProvider } from '../triggers.ts'

/** A change of one value, before and after as raw JSON. */
export interface StateEvent {
  readonly type: 'state:created' | 'state:updated' | 'state:deleted'
  readonly scope: string
  readonly key: string
  readonly before: RawJson | undefined
  readonly after: RawJson
}

interface Watch {
  readonly trigger: Trigger
  readonly scope: string | undefined
  readonly key: string | undefined
  readonly conditionFunctionId: string | undefined
}

/** The provider of trigger type `state {scope?, key?, condition_function_id?}`. */
export class StateTriggers implements TriggerProvider {
  readonly #hub: Hub
  readonly #watches = new Map<string, Watch>()

  constructor(hub: Hub) {
    this.#hub = hub
  }

  register(trigger: Trigger): ErrorBody | undefined {
    const config = trigger.config
    if (typeof config !== 'object' || config === null || Array.isArray(config)) {
      return refusal('The config of a state trigger must be an object.')
    }
    const fields = config as Record<string, unknown>
    for (const name of ['scope', 'key', 'condition_function_id']) {
      if (fields[name] != null && typeof fields[name] !== 'string') {
        return refusal(`The field ${name} of a state trigger must be a string.`)
      }
    }
    this.#watches.set(trigger.id, {
      trigger,
      scope: (fields.scope ?? undefined) as string | undefined,
      key: (fields.key ?? undefined) as string | undefined,
      conditionFunctionId: (fields.condition_function_id ?? undefined) as string | undefined,
    })
    return undefined
  }

  replay(trigger: Trigger): ErrorBody | undefined {
    return this.register(trigger)
  }

  unregister(trigger: Trigger): void {
    this.#watches.delete(trigger.id)
  }

  /** Runs the functions that watch the value, without waiting for them. */
  fire(event: StateEvent): void {
    const watches = [...this.#watches.values()].filter(
      ({ scope, key }) =>
        (scope === undefined || scope === event.scope) && (key === undefined || key === event.key),
    )
    if (watches.length === 0) return
    const head = JSON.stringify({ type: 'state', event_type: event.type, scope: event.scope, key: event.key })
    const data = `${head.slice(0, -1)},"old_value":${event.before ?? 'null'},"new_value":${event.after}}`
    for (const watch of watches) this.#run(watch, data)
  }

  async #run({ trigger, conditionFunctionId }: Watch, data: RawJson): Promise<void> {
    if (conditionFunctionId !== undefined) {
      const verdict = await this.#hub.invocations.call({ functionId: conditionFunctionId, data })
      if (!verdict.ok) {
        this.#hub.logger.warn(
          { functionId: conditionFunctionId, code: verdict.error.code },
          'a condition failed',
        )
        return
      }
      if (verdict.result === 'false') return
    }
    this.#hub.run(trigger.functionId, data, trigger.metadata)
  }
}
