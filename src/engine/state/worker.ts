import type { BuiltinCall } from '../functions.ts'
import type { Hub } from '../hub.ts'
import { readInput, wrong } from '../input.ts'
import type { StateOptions } from '../options.ts'
import { failure, type Outcome, rawSuccess, success } from '../outcome.ts'
import { type RawJson, scanObject } from '../raw-json.ts'
import { exactParse, exactStringify } from './exact-json.ts'
import { StateQueue } from './queue.ts'
import { StateStore } from './store.ts'
import { StateTriggers } from './triggers.ts'
import { readUpdateOps } from './update-input.ts'
import { applyUpdate } from './update-ops.ts'

/** The name under which state appears among the workers. */
export const STATE_WORKER = 'iii-state'

/** See {@link StateOptions.maxValueBytes}. */
const MAX_VALUE_BYTES = 16_777_216

/** The functions `state::…` and the trigger type `state`, on one SQLite file. */
export class StateWorker {
  readonly #store: StateStore
  readonly #queue: StateQueue
  readonly #triggers: StateTriggers
  readonly #options: StateOptions

  /** @throws CqrsError if the file cannot be opened */
  constructor(hub: Hub, options: StateOptions) {
    this.#options = options
    this.#store = new StateStore(options.path)
    this.#queue = new StateQueue(this.#store, hub.logger)
    this.#triggers = new StateTriggers(hub)
    hub.triggers.registerType({
      id: 'state',
      description: 'Runs a function when state changes.',
      configSchema: CONFIG_SCHEMA,
      callSchema: undefined,
      provider: this.#triggers,
      owner: undefined,
    })
    for (const [id, description, owner] of [
      ['state::set', 'Sets a value.', this.#set],
      ['state::get', 'Gets a value.', this.#get],
      ['state::delete', 'Deletes a value.', this.#delete],
      ['state::update', 'Changes a value step by step, as one.', this.#update],
      ['state::list', 'Lists the values of a scope.', this.#list],
      ['state::list_groups', 'Lists the scopes.', this.#listGroups],
    ] as const) {
      hub.offer({
        id,
        description,
        requestFormat: undefined,
        responseFormat: undefined,
        metadata: undefined,
        owner,
      })
    }
  }

  close(): void {
    this.#queue.flush()
    this.#store.close()
  }

  readonly #set = ({ data }: BuiltinCall): Outcome | Promise<Outcome> => {
    const input = readInput('state::set', data, { scope: 'string', key: 'string' })
    if (!input.ok) return input.outcome
    const fields = scanObject(data).fields
    const value = fields.get('value') ?? fields.get('data')
    if (value === undefined) return wrong('state::set', 'the field value is missing')
    const refusal = this.#tooLarge(value)
    if (refusal) return refusal
    const { scope, key } = input.value
    return this.#queue.write(() => {
      const { before, after } = this.#store.set(scope, key, value)
      return this.#changed(scope, key, before, after, changeResult(before, after))
    })
  }

  readonly #update = ({ data }: BuiltinCall): Outcome | Promise<Outcome> => {
    const input = readInput('state::update', data, { scope: 'string', key: 'string', ops: 'array' })
    if (!input.ok) return input.outcome
    const ops = readUpdateOps(exactParse(scanObject(data).fields.get('ops') ?? '[]') as unknown[])
    if (!ops.ok) return wrong('state::update', ops.problem)
    const { scope, key } = input.value
    return this.#queue.write(() => {
      const before = this.#store.get(scope, key)
      const { value, errors } = applyUpdate(before === undefined ? undefined : exactParse(before), ops.value)
      const after = exactStringify(value)
      const refusal = this.#tooLarge(after)
      if (refusal) return { outcome: refusal, after: () => {} }
      this.#store.set(scope, key, after)
      return this.#changed(scope, key, before, after, changeResult(before, after, errors))
    })
  }

  /**
   * Refuses a value that is too large. A value could otherwise grow step by step until it, or the event about its
   * change, is too large to send to any worker.
   */
  #tooLarge(value: RawJson): Outcome | undefined {
    const bytes = Buffer.byteLength(value)
    const { maxValueBytes = MAX_VALUE_BYTES } = this.#options
    if (bytes <= maxValueBytes) return undefined
    return failure('VALUE_TOO_LARGE', `The value has ${bytes} bytes; ${maxValueBytes} are allowed.`)
  }

  readonly #delete = ({ data }: BuiltinCall): Outcome | Promise<Outcome> => {
    const input = readInput('state::delete', data, { scope: 'string', key: 'string' })
    if (!input.ok) return input.outcome
    const { scope, key } = input.value
    return this.#queue.write(() => {
      const before = this.#store.delete(scope, key)
      return {
        outcome: rawSuccess(before),
        after: () => this.#triggers.fire({ type: 'state:deleted', scope, key, before, after: 'null' }),
      }
    })
  }

  readonly #get = ({ data }: BuiltinCall): Outcome | Promise<Outcome> => {
    const input = readInput('state::get', data, { scope: 'string', key: 'string' })
    if (!input.ok) return input.outcome
    const { scope, key } = input.value
    return this.#queue.read(() => rawSuccess(this.#store.get(scope, key)))
  }

  readonly #list = ({ data }: BuiltinCall): Outcome | Promise<Outcome> => {
    const input = readInput('state::list', data, { scope: 'string' })
    if (!input.ok) return input.outcome
    return this.#queue.read(() => rawSuccess(`[${this.#store.list(input.value.scope).join(',')}]`))
  }

  readonly #listGroups = ({ data }: BuiltinCall): Outcome | Promise<Outcome> => {
    const input = readInput('state::list_groups', data, {})
    if (!input.ok) return input.outcome
    return this.#queue.read(() => success({ groups: this.#store.scopes() }))
  }

  #changed(scope: string, key: string, before: RawJson | undefined, after: RawJson, result: RawJson) {
    const type = before === undefined ? 'state:created' : 'state:updated'
    return {
      outcome: rawSuccess(result),
      after: () => this.#triggers.fire({ type, scope, key, before, after }),
    }
  }
}

function changeResult(before: RawJson | undefined, after: RawJson, errors: readonly unknown[] = []): RawJson {
  const reported = errors.length === 0 ? '' : `,"errors":${JSON.stringify(errors)}`
  return `{"old_value":${before ?? 'null'},"new_value":${after}${reported}}`
}

const CONFIG_SCHEMA = {
  type: 'object',
  properties: {
    scope: { type: 'string' },
    key: { type: 'string' },
    condition_function_id: { type: 'string' },
  },
}
