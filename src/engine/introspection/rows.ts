import type { FunctionEntry } from '../functions.ts'
import type { Hub } from '../hub.ts'
import type { Trigger, TriggerType } from '../triggers.ts'
import type { WorkerDirectory } from './workers.ts'

/** Longest text of `config_summary`. */
const SUMMARY_LENGTH = 80

/** Builds the rows and details that the `engine::` functions answer with. */
export class Rows {
  readonly #hub: Hub
  readonly #directory: WorkerDirectory

  constructor(hub: Hub, directory: WorkerDirectory) {
    this.#hub = hub
    this.#directory = directory
  }

  function(entry: FunctionEntry) {
    return {
      function_id: entry.id,
      worker_name: this.#directory.ownerOfFunction(entry.id),
      description: entry.description,
      metadata: entry.metadata as { internal?: unknown } | undefined,
    }
  }

  functionDetail(id: string) {
    const entry = this.#hub.functions.get(id)
    if (entry === undefined) return undefined
    return {
      ...this.function(entry),
      request_schema: entry.requestFormat,
      response_schema: entry.responseFormat,
      registered_triggers: [...this.#hub.triggers.values()]
        .filter((trigger) => trigger.functionId === id)
        .map((trigger) => ({ id: trigger.id, trigger_type: trigger.triggerType, config: trigger.config })),
    }
  }

  triggerType(type: TriggerType) {
    return {
      id: type.id,
      worker_name: this.#directory.ownerOfTriggerType(type),
      description: type.description,
    }
  }

  triggerTypeDetail(id: string) {
    const type = this.#hub.triggers.type(id)
    if (type === undefined) return undefined
    return {
      ...this.triggerType(type),
      configuration_schema: type.configSchema,
      request_schema: type.callSchema,
      instance_count: [...this.#hub.triggers.values()].filter((trigger) => trigger.triggerType === id).length,
    }
  }

  trigger(trigger: Trigger) {
    const config = JSON.stringify(trigger.config)
    return {
      id: trigger.id,
      trigger_type: trigger.triggerType,
      function_id: trigger.functionId,
      worker_name: this.#directory.ownerOfFunction(trigger.functionId),
      config: trigger.config,
      config_summary: config.length <= SUMMARY_LENGTH ? config : `${config.slice(0, SUMMARY_LENGTH)}…`,
    }
  }

  triggerDetail(id: string) {
    const trigger = this.#hub.triggers.get(id)
    if (trigger === undefined) return undefined
    const { config_summary, ...row } = this.trigger(trigger)
    return {
      ...row,
      metadata: trigger.metadata === undefined ? undefined : JSON.parse(trigger.metadata),
      trigger: this.triggerTypeDetail(trigger.triggerType) ?? null,
      function: this.functionDetail(trigger.functionId) ?? null,
    }
  }
}
