import type { BuiltinHandler } from './functions.ts'
import { FUNCTIONS_AVAILABLE, type Hub, WORKERS_AVAILABLE } from './hub.ts'
import { readInput, wrong } from './input.ts'
import { introspectionFunctions } from './introspection/functions.ts'
import { Rows } from './introspection/rows.ts'
import type { WorkerDirectory } from './introspection/workers.ts'
import { failure, type Outcome, success } from './outcome.ts'
import { scanObject } from './raw-json.ts'
import type { Session } from './session.ts'
import type { TriggerProvider } from './triggers.ts'

/** The name under which the functions `engine::…` appear among the workers. */
export const ENGINE_WORKER = 'iii-engine-functions'

/** Longest name or description that a worker may give itself, in characters. */
const MAX_TEXT = 280

/** The largest buffer, in messages, that a worker may request for a channel. */
const MAX_CHANNEL_BUFFER = 1_024

/** How long a channel may wait for both ends to be opened. Without a limit it could stay for ever. */
const CHANNEL_TIME_TO_LIVE_MS = 5 * 60_000

/**
 * Offers the functions `engine::…` and the trigger types `engine::functions-available` and `engine::workers-available`.
 *
 * @returns a function that stops the events of `engine::functions-available`
 */
export function offerEngineFunctions(
  hub: Hub,
  directory: WorkerDirectory,
  changedDelayMs: number,
): () => void {
  const handlers: Record<string, BuiltinHandler> = {
    ...introspectionFunctions(hub, directory),
    'engine::workers::register': ({ data, caller }) => registerWorker(hub, caller, data),
    'engine::channels::create': ({ data }) => createChannel(hub, data),
    'engine::register_trigger': ({ data }) => registerTrigger(hub, data),
    'engine::unregister_trigger': ({ data }) => unregisterTrigger(hub, data),
  }
  for (const [id, owner] of Object.entries(handlers)) {
    hub.offer({
      id,
      description: DESCRIPTIONS[id],
      requestFormat: undefined,
      responseFormat: undefined,
      metadata: undefined,
      owner,
    })
  }
  for (const [id, description] of [
    [FUNCTIONS_AVAILABLE, 'Runs a function when functions were registered or unregistered.'],
    [WORKERS_AVAILABLE, 'Runs a function when workers connected, introduced themselves or disconnected.'],
  ] as const) {
    // The hub fires these from the list of triggers, so nothing has to be kept here.
    hub.triggers.registerType({
      id,
      description,
      configSchema: undefined,
      callSchema: undefined,
      provider: TAKES_ALL,
      owner: undefined,
    })
  }
  return watchFunctions(hub, new Rows(hub, directory), changedDelayMs)
}

const TAKES_ALL: TriggerProvider = { register: () => undefined, replay: () => undefined, unregister() {} }

/** Collects changes for `delayMs`, then fires one event, unless the changes have cancelled each other out. */
function watchFunctions(hub: Hub, rows: Rows, delayMs: number): () => void {
  const idsNow = (): string => JSON.stringify([...hub.functions.ids()].sort())
  let known = idsNow()
  let timer: NodeJS.Timeout | undefined
  hub.onFunctionsChanged = () => {
    timer ??= setTimeout(() => {
      timer = undefined
      const ids = idsNow()
      if (ids === known) return
      known = ids
      const functions = [...hub.functions.values()].map((entry) => rows.function(entry))
      hub.fire(FUNCTIONS_AVAILABLE, JSON.stringify({ event: 'functions_changed', functions }))
    }, delayMs)
  }
  return () => {
    clearTimeout(timer)
    hub.onFunctionsChanged = () => {}
  }
}

function registerWorker(hub: Hub, caller: Session | undefined, data: string): Outcome {
  const input = readInput('engine::workers::register', data, {
    runtime: 'string?',
    version: 'string?',
    name: 'string?',
    description: 'string?',
    os: 'string?',
    pid: 'integer?',
    isolation: 'string?',
  })
  if (!input.ok) return input.outcome
  if (caller === undefined) return wrong('engine::workers::register', 'only a worker can introduce itself')
  const { runtime, version, name, description, os, pid, isolation } = input.value
  const before = caller.metadata
  caller.metadata = {
    name: cleanText(name) ?? before?.name,
    description: cleanText(description) ?? before?.description,
    runtime: runtime ?? 'unknown',
    version,
    os: os ?? before?.os,
    pid: pid ?? before?.pid,
    isolation: isolation ?? before?.isolation,
  }
  hub.fire(WORKERS_AVAILABLE, JSON.stringify({ event: 'worker_metadata_updated', worker_id: caller.id }))
  return success({ success: true })
}

function createChannel(hub: Hub, data: string): Outcome {
  const input = readInput('engine::channels::create', data, { buffer_size: 'integer?' })
  if (!input.ok) return input.outcome
  const wished = input.value.buffer_size
  const channel = hub.channels.create({
    ...(wished !== undefined && { bufferSize: Math.min(Math.max(wished, 1), MAX_CHANNEL_BUFFER) }),
    timeToLiveMs: CHANNEL_TIME_TO_LIVE_MS,
  })
  return success({ writer: channel.ref('write'), reader: channel.ref('read') })
}

async function registerTrigger(hub: Hub, data: string): Promise<Outcome> {
  const input = readInput('engine::register_trigger', data, {
    trigger_type: 'string',
    function_id: 'string',
    config: 'any?',
    metadata: 'any?',
  })
  if (!input.ok) return input.outcome
  const { trigger_type, function_id, config } = input.value
  const metadata = scanObject(data).fields.get('metadata')
  const id = hub.newId()
  const refusal = await hub.triggers.register({
    id,
    triggerType: trigger_type,
    functionId: function_id,
    config: config ?? null,
    metadata: metadata === 'null' ? undefined : metadata,
    owner: undefined,
  })
  if (refusal === undefined) return success({ id })
  const message =
    refusal.code === 'trigger_registration_failed' ? refusal.message : `${refusal.code}: ${refusal.message}`
  return failure('trigger_registration_failed', message)
}

function unregisterTrigger(hub: Hub, data: string): Outcome {
  const input = readInput('engine::unregister_trigger', data, { id: 'string', trigger_type: 'string?' })
  return input.ok ? success({ removed: hub.triggers.unregister(input.value.id) }) : input.outcome
}

/**
 * Cleans what workers say about themselves, because it ends up on terminals: removes control characters and the marks
 * that reorder text (the Trojan Source class, CVE-2021-42574), and cuts the text to {@link MAX_TEXT}.
 */
function cleanText(text: string | undefined): string | undefined {
  const cleaned = [...(text ?? '').replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu, '')]
    .slice(0, MAX_TEXT)
    .join('')
    .trim()
  return cleaned === '' ? undefined : cleaned
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  'engine::functions::list': 'Lists the registered functions.',
  'engine::functions::info': 'Describes one function, or up to 32.',
  'engine::workers::list': 'Lists the workers.',
  'engine::workers::info': 'Describes one worker and what it offers.',
  'engine::workers::register': 'Receives what a worker reports about itself.',
  'engine::triggers::list': 'Lists the trigger types.',
  'engine::triggers::info': 'Describes one trigger type.',
  'engine::registered-triggers::list': 'Lists the triggers that are bound.',
  'engine::registered-triggers::info': 'Describes one trigger that is bound.',
  'engine::channels::create': 'Opens a channel: a pipe of messages from one worker to another.',
  'engine::register_trigger': 'Binds a trigger that stays until it is unregistered.',
  'engine::unregister_trigger': 'Unbinds a trigger.',
}
