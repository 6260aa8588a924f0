import type { InvokeFrame, WorkerFrame } from './frames.ts'
import { type HttpEndpoint, readHttpEndpoint } from './http-functions.ts'
import type { ErrorBody } from './outcome.ts'
import { type RawJson, scanObject } from './raw-json.ts'

/** A frame that could not be understood, with what is needed to answer whoever waits for it. */
export interface BadFrame {
  readonly type: 'bad'
  readonly error: ErrorBody
  /** The text is not even a JSON object, so the other end does not speak this protocol. */
  readonly fatal: boolean
  /** The call that the frame is about, if that could be read. */
  readonly about:
    | {
        readonly type: 'invokefunction' | 'invocationresult'
        readonly invocationId: string
        readonly functionId: string
      }
    | undefined
}

type Fields = Readonly<Record<string, unknown>>

/**
 * Reads one text frame of a worker.
 *
 * `maxDepth` limits the nesting of the whole frame. Deeper JSON would overflow the stack of a worker that walks it
 * recursively, as the SDK does.
 */
export function parseFrame(text: string, maxDepth: number): WorkerFrame | BadFrame {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch (error) {
    return fatal(`A frame must be JSON: ${(error as Error).message}`)
  }
  if (!isObject(fields)) return fatal('A frame must be a JSON object.')
  const raw = scanObject(text)
  if (raw.depth > maxDepth) {
    return bad(fields, 'frame_too_deep', `The frame nests deeper than ${maxDepth} levels.`)
  }
  const reader = new FieldReader(fields, raw.fields)
  const frame = readFrame(reader, fields)
  if (frame === undefined) {
    return bad(fields, 'unknown_frame_type', `There is no frame of type ${JSON.stringify(fields.type)}.`)
  }
  return reader.problem === undefined ? frame : bad(fields, 'invalid_frame', reader.problem)
}

function readFrame(reader: FieldReader, fields: Fields): WorkerFrame | undefined {
  switch (fields.type) {
    case 'invokefunction':
      return readInvoke(reader, fields)
    case 'invocationresult':
      return {
        type: 'invocationresult',
        invocationId: reader.uuid('invocation_id'),
        result: reader.optionalRaw('result'),
        error: readError(fields.error, 'invocation_failed'),
      }
    case 'registerfunction':
      return {
        type: 'registerfunction',
        id: reader.text('id'),
        description: reader.optionalText('description'),
        requestFormat: fields.request_format ?? undefined,
        responseFormat: fields.response_format ?? undefined,
        metadata: fields.metadata ?? undefined,
        endpoint: readEndpoint(reader, fields.invocation),
      }
    case 'unregisterfunction':
      return { type: 'unregisterfunction', id: reader.text('id') }
    case 'registertrigger':
      reader.raw('config')
      return {
        type: 'registertrigger',
        id: reader.text('id'),
        triggerType: reader.text('trigger_type'),
        functionId: reader.text('function_id'),
        config: fields.config,
        metadata: reader.optionalRaw('metadata'),
      }
    case 'unregistertrigger':
      return { type: 'unregistertrigger', id: reader.text('id') }
    case 'registertriggertype':
      return {
        type: 'registertriggertype',
        id: reader.text('id'),
        description: reader.text('description'),
        triggerRequestFormat: fields.trigger_request_format ?? undefined,
        callRequestFormat: fields.call_request_format ?? undefined,
      }
    case 'triggerregistrationresult':
      return {
        type: 'triggerregistrationresult',
        id: reader.text('id'),
        error: readError(fields.error, 'trigger_registration_failed'),
      }
    case 'reattach':
      return {
        type: 'reattach',
        previousWorkerId: reader.text('previous_worker_id'),
        reattachToken: reader.optionalText('reattach_token'),
      }
    case 'ping':
      return { type: 'ping' }
    // The real engine does not know `unregistertriggertype` either: a type ends with its provider's connection.
    case 'unregistertriggertype':
    case 'registerservice':
    case 'pong':
    case 'workerregistered':
      return { type: 'ignored' }
    default:
      return undefined
  }
}

function readInvoke(reader: FieldReader, fields: Fields): InvokeFrame {
  const dataIsObject = isObject(fields.data)
  return {
    type: 'invokefunction',
    invocationId: fields.invocation_id == null ? undefined : reader.uuid('invocation_id'),
    functionId: reader.text('function_id'),
    data: reader.raw('data'),
    dataIsObject,
    dataNamesCaller: dataIsObject && Object.hasOwn(fields.data as object, '_caller_worker_id'),
    metadata: reader.optionalRaw('metadata'),
    traceparent: reader.optionalText('traceparent'),
    baggage: reader.optionalText('baggage'),
    action: readAction(reader, fields.action),
  }
}

function readEndpoint(reader: FieldReader, invocation: unknown): HttpEndpoint | undefined {
  if (invocation == null) return undefined
  const endpoint = isObject(invocation) ? readHttpEndpoint(invocation) : 'it must be an object'
  if (typeof endpoint === 'object') return endpoint
  reader.refuse(`The field invocation is not valid: ${endpoint}.`)
  return undefined
}

function readAction(reader: FieldReader, action: unknown): InvokeFrame['action'] {
  if (action == null) return undefined
  if (isObject(action) && action.type === 'void') return { type: 'void' }
  if (isObject(action) && action.type === 'enqueue' && typeof action.queue === 'string') {
    return { type: 'enqueue', queue: action.queue }
  }
  reader.refuse('The field action must be of type void, or of type enqueue with a queue.')
  return undefined
}

/** Turns an error of any shape into an error body, because whoever waits must learn that the call failed. */
function readError(error: unknown, fallbackCode: string): ErrorBody | undefined {
  if (error == null) return undefined
  if (!isObject(error)) {
    return { code: fallbackCode, message: typeof error === 'string' ? error : JSON.stringify(error) }
  }
  return {
    code: typeof error.code === 'string' ? error.code : fallbackCode,
    message:
      typeof error.message === 'string' ? error.message : 'The worker reported an error without a message.',
    ...(typeof error.stacktrace === 'string' && { stacktrace: error.stacktrace }),
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Reads the fields of a frame, and remembers the first one that is invalid. */
class FieldReader {
  problem: string | undefined
  readonly #fields: Fields
  readonly #raw: ReadonlyMap<string, RawJson>

  constructor(fields: Fields, raw: ReadonlyMap<string, RawJson>) {
    this.#fields = fields
    this.#raw = raw
  }

  refuse(problem: string): void {
    this.problem ??= problem
  }

  text(name: string): string {
    const value = this.#fields[name]
    if (typeof value === 'string') return value
    this.refuse(`The field ${name} must be a string.`)
    return ''
  }

  optionalText(name: string): string | undefined {
    return this.#fields[name] == null ? undefined : this.text(name)
  }

  uuid(name: string): string {
    const value = this.text(name)
    if (!UUID.test(value)) this.refuse(`The field ${name} must be a UUID.`)
    return value
  }

  raw(name: string): RawJson {
    const value = this.#raw.get(name)
    if (value !== undefined) return value
    this.refuse(`The frame lacks the field ${name}.`)
    return 'null'
  }

  /** A field whose `null` means the same as its absence. */
  optionalRaw(name: string): RawJson | undefined {
    const value = this.#raw.get(name)
    return value === 'null' ? undefined : value
  }
}

function bad(fields: Fields, code: string, message: string): BadFrame {
  return { type: 'bad', fatal: false, error: { code, message }, about: aboutCall(fields) }
}

function fatal(message: string): BadFrame {
  return { type: 'bad', fatal: true, error: { code: 'invalid_frame', message }, about: undefined }
}

function aboutCall(fields: Fields): BadFrame['about'] {
  const { type, invocation_id: invocationId, function_id: functionId } = fields
  if (type !== 'invokefunction' && type !== 'invocationresult') return undefined
  if (typeof invocationId !== 'string') return undefined
  return { type, invocationId, functionId: typeof functionId === 'string' ? functionId : '' }
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
