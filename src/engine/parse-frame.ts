import type { InvokeFrame, ResultFrame, WorkerFrame } from './frames.ts'
import type { ErrorBody } from './outcome.ts'
import { type RawJson, scanObject } from './raw-json.ts'

/** A frame that could not be understood, with as much of it as is needed to answer somebody. */
export interface BadFrame {
  readonly type: 'bad'
  readonly error: ErrorBody
  /** The text is not a JSON object at all: whatever talks there does not speak this protocol. */
  readonly fatal: boolean
  /** The call that the frame was about, if that can be told. */
  readonly about:
    | {
        readonly type: 'invokefunction' | 'invocationresult'
        readonly invocationId: string
        readonly functionId: string
      }
    | undefined
}

type Fields = Readonly<Record<string, unknown>>

class FrameProblem extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/**
 * Reads one text frame of a worker.
 *
 * `maxDepth` bounds the nesting of the whole frame: deeper JSON overflows the stack of a worker that
 * walks it recursively, as the SDK does.
 */
export function parseFrame(text: string, maxDepth: number): WorkerFrame | BadFrame {
  let fields: Fields
  try {
    const parsed: unknown = JSON.parse(text)
    if (!isObject(parsed)) return fatal('A frame must be a JSON object.')
    fields = parsed
  } catch (error) {
    return fatal(`A frame must be JSON: ${(error as Error).message}`)
  }
  try {
    const raw = scanObject(text)
    if (raw.depth > maxDepth) {
      throw new FrameProblem('frame_too_deep', `The frame nests deeper than ${maxDepth} levels.`)
    }
    return readFrame(fields, raw.fields)
  } catch (error) {
    if (!(error instanceof FrameProblem)) throw error
    return {
      type: 'bad',
      fatal: false,
      error: { code: error.code, message: error.message },
      about: aboutCall(fields),
    }
  }
}

function readFrame(fields: Fields, raw: ReadonlyMap<string, RawJson>): WorkerFrame {
  switch (fields.type) {
    case 'invokefunction':
      return readInvoke(fields, raw)
    case 'invocationresult':
      return readResult(fields, raw)
    case 'registerfunction':
      return {
        type: 'registerfunction',
        id: text(fields, 'id'),
        description: optionalText(fields, 'description'),
        requestFormat: fields.request_format ?? undefined,
        responseFormat: fields.response_format ?? undefined,
        metadata: fields.metadata ?? undefined,
        isHttpInvocation: isObject(fields.invocation),
      }
    case 'unregisterfunction':
      return { type: 'unregisterfunction', id: text(fields, 'id') }
    case 'registertrigger':
      return {
        type: 'registertrigger',
        id: text(fields, 'id'),
        triggerType: text(fields, 'trigger_type'),
        functionId: text(fields, 'function_id'),
        config: present(fields, 'config'),
        metadata: optionalRaw(raw, 'metadata'),
      }
    case 'unregistertrigger':
      return { type: 'unregistertrigger', id: text(fields, 'id') }
    case 'registertriggertype':
      return {
        type: 'registertriggertype',
        id: text(fields, 'id'),
        description: text(fields, 'description'),
        triggerRequestFormat: fields.trigger_request_format ?? undefined,
        callRequestFormat: fields.call_request_format ?? undefined,
      }
    case 'triggerregistrationresult':
      return {
        type: 'triggerregistrationresult',
        id: text(fields, 'id'),
        error: readError(fields.error, 'trigger_registration_failed'),
      }
    case 'reattach':
      return {
        type: 'reattach',
        previousWorkerId: text(fields, 'previous_worker_id'),
        reattachToken: optionalText(fields, 'reattach_token'),
      }
    case 'ping':
      return { type: 'ping' }
    // The real engine knows no `unregistertriggertype` either: a type ends with its provider's connection.
    case 'unregistertriggertype':
    case 'registerservice':
    case 'pong':
    case 'workerregistered':
      return { type: 'ignored' }
    default:
      throw new FrameProblem(
        'unknown_frame_type',
        `There is no frame of type ${JSON.stringify(fields.type)}.`,
      )
  }
}

function readInvoke(fields: Fields, raw: ReadonlyMap<string, RawJson>): InvokeFrame {
  const data = raw.get('data')
  if (data === undefined) throw new FrameProblem('invalid_frame', 'The frame lacks the field data.')
  const dataIsObject = isObject(fields.data)
  return {
    type: 'invokefunction',
    invocationId: fields.invocation_id == null ? undefined : uuid(fields, 'invocation_id'),
    functionId: text(fields, 'function_id'),
    data,
    dataIsObject,
    dataNamesCaller: dataIsObject && Object.hasOwn(fields.data as object, '_caller_worker_id'),
    metadata: optionalRaw(raw, 'metadata'),
    traceparent: optionalText(fields, 'traceparent'),
    baggage: optionalText(fields, 'baggage'),
    action: readAction(fields.action),
  }
}

function readAction(action: unknown): InvokeFrame['action'] {
  if (action == null) return undefined
  if (isObject(action)) {
    if (action.type === 'void') return { type: 'void' }
    if (action.type === 'enqueue') return { type: 'enqueue', queue: text(action, 'queue') }
  }
  throw new FrameProblem('invalid_frame', 'The action must be of type void or enqueue.')
}

function readResult(fields: Fields, raw: ReadonlyMap<string, RawJson>): ResultFrame {
  return {
    type: 'invocationresult',
    invocationId: uuid(fields, 'invocation_id'),
    result: optionalRaw(raw, 'result'),
    error: readError(fields.error, 'invocation_failed'),
  }
}

/** An error of any shape becomes an error body: whoever waits must learn that it failed. */
function readError(error: unknown, fallbackCode: string): ErrorBody | undefined {
  if (error == null) return undefined
  if (!isObject(error))
    return { code: fallbackCode, message: typeof error === 'string' ? error : JSON.stringify(error) }
  return {
    code: typeof error.code === 'string' ? error.code : fallbackCode,
    message:
      typeof error.message === 'string' ? error.message : 'The worker reported an error without a message.',
    ...(typeof error.stacktrace === 'string' && { stacktrace: error.stacktrace }),
  }
}

function aboutCall(fields: Fields): BadFrame['about'] {
  const { type, invocation_id: invocationId, function_id: functionId } = fields
  if (type !== 'invokefunction' && type !== 'invocationresult') return undefined
  if (typeof invocationId !== 'string') return undefined
  return { type, invocationId, functionId: typeof functionId === 'string' ? functionId : '' }
}

function fatal(message: string): BadFrame {
  return { type: 'bad', fatal: true, error: { code: 'invalid_frame', message }, about: undefined }
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function text(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value === 'string') return value
  throw new FrameProblem('invalid_frame', `The field ${name} must be a string.`)
}

function optionalText(fields: Fields, name: string): string | undefined {
  return fields[name] == null ? undefined : text(fields, name)
}

function uuid(fields: Fields, name: string): string {
  const value = text(fields, name)
  if (UUID.test(value)) return value
  throw new FrameProblem('invalid_frame', `The field ${name} must be a UUID.`)
}

function present(fields: Fields, name: string): unknown {
  if (Object.hasOwn(fields, name)) return fields[name]
  throw new FrameProblem('invalid_frame', `The frame lacks the field ${name}.`)
}

/** A field whose `null` means the same as its absence. */
function optionalRaw(raw: ReadonlyMap<string, RawJson>, name: string): RawJson | undefined {
  const value = raw.get(name)
  return value === 'null' ? undefined : value
}
