import type { HttpEndpoint } from './http-functions.ts'
import type { ErrorBody } from './outcome.ts'
import type { RawJson } from './raw-json.ts'

/** A call that a worker wants made, or that the engine hands to the owner of a function. */
export interface InvokeFrame {
  readonly type: 'invokefunction'
  /** Absent when nobody waits for the answer. */
  readonly invocationId: string | undefined
  readonly functionId: string
  readonly data: RawJson
  /** `data` is an object, so the caller's id can be added to it. */
  readonly dataIsObject: boolean
  /** `data` brings a `_caller_worker_id` of its own, which the engine overwrites. */
  readonly dataNamesCaller: boolean
  readonly metadata: RawJson | undefined
  readonly traceparent: string | undefined
  readonly baggage: string | undefined
  readonly action:
    | { readonly type: 'void' }
    | { readonly type: 'enqueue'; readonly queue: string }
    | undefined
}

/** The end of a call, reported by the worker that executed it. */
export interface ResultFrame {
  readonly type: 'invocationresult'
  readonly invocationId: string
  readonly result: RawJson | undefined
  readonly error: ErrorBody | undefined
}

/** A function that a worker offers. */
export interface RegisterFunctionFrame {
  readonly type: 'registerfunction'
  readonly id: string
  readonly description: string | undefined
  readonly requestFormat: unknown
  readonly responseFormat: unknown
  readonly metadata: unknown
  /** Set if the function is an HTTP endpoint instead of code in the worker. */
  readonly endpoint: HttpEndpoint | undefined
}

/** A binding of a trigger type to a function. */
export interface RegisterTriggerFrame {
  readonly type: 'registertrigger'
  readonly id: string
  readonly triggerType: string
  readonly functionId: string
  readonly config: unknown
  readonly metadata: RawJson | undefined
}

/** A kind of trigger that a worker provides. */
export interface RegisterTriggerTypeFrame {
  readonly type: 'registertriggertype'
  readonly id: string
  readonly description: string
  readonly triggerRequestFormat: unknown
  readonly callRequestFormat: unknown
}

/** A provider's answer to a `registertrigger` it was sent. */
export interface TriggerResultFrame {
  readonly type: 'triggerregistrationresult'
  readonly id: string
  readonly error: ErrorBody | undefined
}

/**
 * The first frame of a worker that reconnects after losing its connection. It asks the engine to retire the old
 * connection.
 */
export interface ReattachFrame {
  readonly type: 'reattach'
  readonly previousWorkerId: string
  readonly reattachToken: string | undefined
}

/** A frame a worker may send. */
export type WorkerFrame =
  | InvokeFrame
  | ResultFrame
  | RegisterFunctionFrame
  | { readonly type: 'unregisterfunction'; readonly id: string }
  | RegisterTriggerFrame
  | { readonly type: 'unregistertrigger'; readonly id: string }
  | RegisterTriggerTypeFrame
  | TriggerResultFrame
  | ReattachFrame
  | { readonly type: 'ping' }
  | { readonly type: 'ignored' }

/** The frame that greets a worker. */
export function workerRegisteredFrame(workerId: string, reattachToken: string): string {
  return JSON.stringify({ type: 'workerregistered', worker_id: workerId, reattach_token: reattachToken })
}

/** The frame that makes a worker run one of its functions. */
export function invokeFrame(call: {
  invocationId: string
  quotedFunctionId: RawJson
  data: RawJson
  metadata: RawJson | undefined
  traceparent: string | undefined
  baggage: string | undefined
}): string {
  let frame = `{"type":"invokefunction","invocation_id":${JSON.stringify(call.invocationId)},"function_id":${call.quotedFunctionId},"data":${call.data}`
  if (call.metadata !== undefined) frame += `,"metadata":${call.metadata}`
  return frame + traceFields(call.traceparent, call.baggage)
}

/** The frame that tells a caller how its call ended. */
export function resultFrame(answer: {
  invocationId: string
  functionId: string
  result: RawJson | undefined
  error: ErrorBody | undefined
  traceparent: string | undefined
  baggage: string | undefined
}): string {
  let frame = `{"type":"invocationresult","invocation_id":${JSON.stringify(answer.invocationId)},"function_id":${JSON.stringify(answer.functionId)}`
  if (answer.error !== undefined) frame += `,"error":${JSON.stringify(answer.error)}`
  else if (answer.result !== undefined) frame += `,"result":${answer.result}`
  return frame + traceFields(answer.traceparent, answer.baggage)
}

/** The frame that hands a binding to the provider of its trigger type. */
export function registerTriggerFrame(trigger: {
  id: string
  triggerType: string
  functionId: string
  config: unknown
  metadata: RawJson | undefined
}): string {
  const head = JSON.stringify({
    type: 'registertrigger',
    id: trigger.id,
    trigger_type: trigger.triggerType,
    function_id: trigger.functionId,
    config: trigger.config,
  })
  return trigger.metadata === undefined ? head : `${head.slice(0, -1)},"metadata":${trigger.metadata}}`
}

/** The frame that takes a binding back from the provider of its trigger type. */
export function unregisterTriggerFrame(id: string, triggerType: string): string {
  return JSON.stringify({ type: 'unregistertrigger', id, trigger_type: triggerType })
}

/** The frame that tells a worker why its trigger was refused. */
export function triggerResultFrame(answer: {
  id: string
  triggerType: string
  functionId: string
  error: ErrorBody
}): string {
  return JSON.stringify({
    type: 'triggerregistrationresult',
    id: answer.id,
    trigger_type: answer.triggerType,
    function_id: answer.functionId,
    error: answer.error,
  })
}

/** The frame that refuses a function which another live worker has, as iii 0.23 does. */
export function registrationRejectedFrame(functionId: string, ownerWorkerId: string): string {
  return JSON.stringify({
    type: 'registrationrejected',
    code: 'FUNCTION_NAMESPACE_CONFLICT',
    namespace: 'default',
    function_id: functionId,
    owner_worker_id: ownerWorkerId,
  })
}

/** The answer to a `ping` frame. */
export const PONG_FRAME = '{"type":"pong"}'

/** The frame that reports a frame which could not be understood. */
export function errorFrame(error: ErrorBody): string {
  return JSON.stringify({ type: 'error', error })
}

function traceFields(traceparent: string | undefined, baggage: string | undefined): string {
  let fields = ''
  if (traceparent !== undefined) fields += `,"traceparent":${JSON.stringify(traceparent)}`
  if (baggage !== undefined) fields += `,"baggage":${JSON.stringify(baggage)}`
  return `${fields}}`
}
