import type { IncomingMessage } from 'node:http'
import { type PassThrough, pipeline, Readable, Transform } from 'node:stream'
import type { Channel, ChannelItem, Channels } from '../channels.ts'
import { type RawJson, withField } from '../raw-json.ts'
import type { Answer } from './answer.ts'
import type { Body } from './body.ts'

/**
 * The two channels that come with a request: `request_body`, from which its function may read the
 * body as bytes, and `response`, into which it may write the answer piece by piece.
 */
export class Exchange {
  /** Resolves when the function opens `response`. */
  readonly answering: Promise<void>
  readonly #channels: Channels
  readonly #body: Channel
  readonly #response: Channel

  constructor(channels: Channels, request: IncomingMessage, body: Body) {
    this.#channels = channels
    this.#body = channels.create({ source: (pipe) => fill(pipe, request, body) })
    this.#response = channels.create()
    this.answering = this.#response.written
  }

  /** Adds the references to both channels to the payload of the function. */
  addTo(payload: RawJson): RawJson {
    const withBody = withField(payload, 'request_body', JSON.stringify(this.#body.ref('read')))
    return withField(withBody, 'response', JSON.stringify(this.#response.ref('write')))
  }

  /**
   * Reads the answer from `response`: texts `{"type":"set_status","status_code"}` and
   * `{"type":"set_headers","headers"}` until the first bytes arrive, and from there on the bytes of the body.
   */
  readAnswer(): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const headers = new Map<string, string>()
    let status = 200
    const body = new Transform({
      writableObjectMode: true,
      transform({ data, isBinary }: ChannelItem, _encoding, done) {
        if (isBinary) {
          resolve({ status, headers: [...headers], body })
          done(null, data)
          return
        }
        const said = readControl(data)
        status = said.status ?? status
        for (const [name, value] of said.headers) headers.set(name.toLowerCase(), value)
        done()
      },
    })
    const pipe = this.#response.open('read') ?? Readable.from([])
    pipeline(pipe, body, () => resolve({ status, headers: [...headers], body: '' }))
    return promise
  }

  /** Called when the answer is known: the channels can no longer be opened, but one that carries a body may finish. */
  settle(answer: Answer | undefined): void {
    this.#channels.remove(this.#body)
    this.#channels.remove(this.#response)
    if (typeof answer?.body !== 'object') this.#response.destroy()
  }

  /** Called when nobody waits any more: cuts the channels that are open. */
  abort(): void {
    this.settle(undefined)
    this.#body.destroy()
  }
}

function fill(pipe: PassThrough, request: IncomingMessage, body: Body): void {
  if (body.kind === 'stream') {
    pipeline(asItems(request), pipe, () => {})
    return
  }
  if (body.kind === 'json' && body.bytes.length > 0) pipe.write({ data: body.bytes, isBinary: true })
  pipe.end()
}

/** Keeps the connection when a reader stops early, because the answer still has to be sent on it. */
async function* asItems(request: IncomingMessage): AsyncGenerator<ChannelItem> {
  for await (const data of request.iterator({ destroyOnReturn: false })) {
    yield { data: data as Buffer, isBinary: true }
  }
}

/** Reads a control message. Invalid parts are ignored, as in the real engine. */
function readControl(data: Buffer): { status: number | undefined; headers: [string, string][] } {
  const said = parseObject(data.toString('utf8'))
  const { status_code: status, headers } = said
  return {
    status: said.type === 'set_status' && isStatus(status) ? status : undefined,
    headers:
      said.type === 'set_headers' && typeof headers === 'object' && headers !== null
        ? Object.entries(headers).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
        : [],
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

/** Whether an answer may have this status. 1xx is not a final answer, so an HTTP server cannot send it as one. */
function isStatus(status: unknown): status is number {
  return typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599
}
