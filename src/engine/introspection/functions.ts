import type { BuiltinHandler } from '../functions.ts'
import type { Hub } from '../hub.ts'
import { readInput } from '../input.ts'
import { failure, type Outcome, success } from '../outcome.ts'
import { Rows } from './rows.ts'
import { compare, type WorkerDirectory } from './workers.ts'

/** Most ids that `engine::functions::info` takes at once. */
const MAX_IDS = 32

/** The functions with which workers inspect the engine: `engine::…::list` and `engine::…::info`. */
export function introspectionFunctions(hub: Hub, directory: WorkerDirectory): Record<string, BuiltinHandler> {
  const rows = new Rows(hub, directory)
  return {
    'engine::functions::list': ({ data }) => listFunctions(hub, rows, data),
    'engine::functions::info': ({ data }) => functionInfo(rows, data),
    'engine::workers::list': ({ data }) => listWorkers(directory, data),
    'engine::workers::info': ({ data }) => workerInfo(hub, rows, directory, data),
    'engine::triggers::list': ({ data }) => listTriggerTypes(hub, rows, data),
    'engine::triggers::info': ({ data }) =>
      detail('engine::triggers::info', data, 'trigger type', (id) => rows.triggerTypeDetail(id)),
    'engine::registered-triggers::list': ({ data }) => listTriggers(hub, rows, data),
    'engine::registered-triggers::info': ({ data }) =>
      detail('engine::registered-triggers::info', data, 'trigger', (id) => rows.triggerDetail(id)),
  }
}

function listFunctions(hub: Hub, rows: Rows, data: string): Outcome {
  const input = readInput('engine::functions::list', data, {
    search: 'string?',
    prefix: 'string?',
    worker: 'string?',
    workers: 'strings?',
    include_internal: 'boolean?',
  })
  if (!input.ok) return input.outcome
  const { search, prefix, worker, workers, include_internal } = input.value
  const wanted = [...(workers ?? []), ...(worker === undefined ? [] : [worker])]
  const functions = [...hub.functions.values()]
    .map((entry) => rows.function(entry))
    .filter((row) => include_internal === true || !isInternal(row))
    .filter((row) => prefix === undefined || row.function_id.startsWith(prefix))
    .filter((row) => wanted.length === 0 || wanted.includes(row.worker_name))
    .filter((row) => matches(search, row.function_id, row.description))
    .sort(
      (a, b) =>
        rank(a.function_id, search) - rank(b.function_id, search) || compare(a.function_id, b.function_id),
    )
  return success({ functions })
}

function functionInfo(rows: Rows, data: string): Outcome {
  const input = readInput('engine::functions::info', data, {
    function_id: 'string?',
    function_ids: 'strings?',
  })
  if (!input.ok) return input.outcome
  const { function_id, function_ids } = input.value
  if ((function_id === undefined) === (function_ids === undefined)) {
    return failure('INVALID_ARGUMENTS', 'Give either function_id or function_ids.')
  }
  if (function_ids === undefined) {
    const found = rows.functionDetail(function_id ?? '')
    if (found !== undefined) return success(found)
    return failure('NOT_FOUND', `The function ${function_id} is not registered.`)
  }
  const ids = [...new Set(function_ids)]
  if (ids.length === 0 || ids.length > MAX_IDS) {
    return failure('INVALID_ARGUMENTS', `The list function_ids takes 1 to ${MAX_IDS} ids.`)
  }
  return success({
    functions: ids.map((id) => rows.functionDetail(id) ?? { function_id: id, error: 'not_found' }),
  })
}

function listWorkers(directory: WorkerDirectory, data: string): Outcome {
  const input = readInput('engine::workers::list', data, {
    search: 'string?',
    runtime: 'string?',
    status: 'string?',
  })
  if (!input.ok) return input.outcome
  const { search, runtime, status } = input.value
  const workers = directory
    .list()
    .filter((row) => runtime === undefined || row.runtime === runtime)
    .filter((row) => status === undefined || row.status === status)
    .filter((row) => matches(search, row.name))
  return success({ workers })
}

function workerInfo(hub: Hub, rows: Rows, directory: WorkerDirectory, data: string): Outcome {
  const input = readInput('engine::workers::info', data, { name: 'string' })
  if (!input.ok) return input.outcome
  const { name } = input.value
  const worker = directory.find(name)
  if (worker === undefined) return failure('NOT_FOUND', `The worker ${name} is not connected.`)
  const functionIds = new Set(directory.functionIdsOf(worker))
  const functions = [...functionIds].sort(compare).flatMap((id) => {
    const entry = hub.functions.get(id)
    return entry === undefined ? [] : [rows.function(entry)]
  })
  const isSession = 'metadata' in worker
  return success({
    worker: {
      ...directory.describe(worker),
      pid: isSession ? worker.metadata?.pid : undefined,
      internal: false,
    },
    functions,
    trigger_types: [...hub.triggers.types()]
      .map((type) => rows.triggerType(type))
      .filter((row) => row.worker_name === name)
      .sort((a, b) => compare(a.id, b.id)),
    registered_triggers: [...hub.triggers.values()]
      .filter((trigger) => functionIds.has(trigger.functionId))
      .map((trigger) => rows.trigger(trigger))
      .sort((a, b) => compare(a.id, b.id)),
  })
}

function listTriggerTypes(hub: Hub, rows: Rows, data: string): Outcome {
  const input = readInput('engine::triggers::list', data, {
    search: 'string?',
    prefix: 'string?',
    worker: 'string?',
    include_internal: 'boolean?',
  })
  if (!input.ok) return input.outcome
  const { search, prefix, worker, include_internal } = input.value
  const triggers = [...hub.triggers.types()]
    .map((type) => rows.triggerType(type))
    .filter((row) => include_internal === true || !row.id.startsWith('engine::'))
    .filter((row) => prefix === undefined || row.id.startsWith(prefix))
    .filter((row) => worker === undefined || row.worker_name === worker)
    .filter((row) => matches(search, row.id, row.description))
    .sort((a, b) => compare(a.id, b.id))
  return success({ triggers })
}

function listTriggers(hub: Hub, rows: Rows, data: string): Outcome {
  const input = readInput('engine::registered-triggers::list', data, {
    search: 'string?',
    trigger_type: 'string?',
    function_id: 'string?',
    worker: 'string?',
    include_internal: 'boolean?',
  })
  if (!input.ok) return input.outcome
  const { search, trigger_type, function_id, worker, include_internal } = input.value
  const registered_triggers = [...hub.triggers.values()]
    .map((trigger) => rows.trigger(trigger))
    .filter((row) => include_internal === true || !row.function_id.startsWith('engine::'))
    .filter((row) => trigger_type === undefined || row.trigger_type === trigger_type)
    .filter((row) => function_id === undefined || row.function_id === function_id)
    .filter((row) => worker === undefined || row.worker_name === worker)
    .filter((row) => matches(search, row.id, row.trigger_type, row.function_id))
    .sort((a, b) => compare(a.id, b.id))
  return success({ registered_triggers })
}

function detail(
  functionId: string,
  data: string,
  what: string,
  find: (id: string) => object | undefined,
): Outcome {
  const input = readInput(functionId, data, { id: 'string' })
  if (!input.ok) return input.outcome
  const found = find(input.value.id)
  return found === undefined ? failure('NOT_FOUND', `There is no ${what} ${input.value.id}.`) : success(found)
}

/** The engine's own functions are hidden, except what a queue offers to its users. */
function isInternal(row: { function_id: string; metadata: { internal?: unknown } | undefined }): boolean {
  const ofEngine = row.function_id.startsWith('engine::') && !row.function_id.startsWith('engine::queue::')
  return ofEngine || row.metadata?.internal === true
}

function matches(search: string | undefined, ...texts: readonly (string | null | undefined)[]): boolean {
  if (search === undefined || search === '') return true
  const needle = search.toLowerCase()
  return texts.some((text) => text?.toLowerCase().includes(needle) ?? false)
}

/**
 * The rank of a function in a search: 0 if its id starts with the text or has it as a whole segment, 1 if its id
 * contains the text, 2 if only its description does.
 */
function rank(functionId: string, search: string | undefined): number {
  if (search === undefined || search === '') return 0
  const needle = search.toLowerCase()
  const id = functionId.toLowerCase()
  if (id.startsWith(needle) || id.split('::').includes(needle)) return 0
  return id.includes(needle) ? 1 : 2
}
