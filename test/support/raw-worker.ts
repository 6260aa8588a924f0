import { randomUUID } from 'node:crypto'
import { WebSocket } from 'ws'
import { until } from './until.ts'

/** A frame of the protocol, as parsed JSON. */
export type Frame = Readonly<Record<string, unknown>> & { readonly type: string }

/** A worker without the SDK: for what the SDK hides, and for what it would never send. */
export class RawWorker {
  readonly ws: WebSocket
  readonly frames: Frame[] = []
  id = ''
  reattachToken = ''
  /** The close code, once the connection is closed. */
  closedWith: number | undefined
  readonly #handlers = new Map<string, (data: unknown, frame: Frame) => unknown>()

  private constructor(ws: WebSocket) {
    this.ws = ws
    ws.on('close', (code) => {
      this.closedWith = code
    })
    ws.on('error', () => {})
    ws.on('message', (bytes) => this.#take(JSON.parse(String(bytes)) as Frame))
  }

  /** Connects and waits for the engine's greeting. */
  static async connect(url: string): Promise<RawWorker> {
    const ws = new WebSocket(url)
    const worker = new RawWorker(ws)
    await new Promise<void>((resolve, reject) => {
      ws.once('open', resolve)
      ws.once('error', reject)
    })
    const greeting = await worker.next('the greeting', (frame) => frame.type === 'workerregistered')
    worker.id = greeting.worker_id as string
    worker.reattachToken = greeting.reattach_token as string
    return worker
  }

  send(frame: object): void {
    this.ws.send(JSON.stringify(frame))
  }

  /** Sends a frame as it is. */
  sendText(text: string): void {
    this.ws.send(text)
  }

  /** Waits for a frame; one that came before counts. */
  next(what: string, matches: (frame: Frame) => boolean): Promise<Frame> {
    return until(what, () => this.frames.find(matches))
  }

  /** Calls a function and waits for the `invocationresult`. */
  call(functionId: string, data: unknown, more: object = {}): Promise<Frame> {
    const invocation_id = randomUUID()
    this.send({ type: 'invokefunction', invocation_id, function_id: functionId, data, ...more })
    return this.result((frame) => frame.invocation_id === invocation_id, functionId)
  }

  /** Waits for the `invocationresult` of an id. */
  result(isAnswer: (frame: Frame) => boolean, what = 'a result'): Promise<Frame> {
    return this.next(`the result of ${what}`, (frame) => frame.type === 'invocationresult' && isAnswer(frame))
  }

  /** Offers a function and waits until the engine knows it. A handler that returns a promise answers later. */
  async offer(functionId: string, handler: (data: unknown, frame: Frame) => unknown): Promise<void> {
    this.#handlers.set(functionId, handler)
    this.send({ type: 'registerfunction', id: functionId })
    await this.settled()
  }

  /** Waits until the engine has taken all that was sent on this connection: it reads frames in order. */
  async settled(): Promise<void> {
    const answered = this.frames.length
    this.send({ type: 'ping' })
    await until('the pong', () => this.frames.slice(answered).some((frame) => frame.type === 'pong'))
  }

  terminate(): void {
    this.ws.terminate()
  }

  async #take(frame: Frame): Promise<void> {
    this.frames.push(frame)
    const handler =
      frame.type === 'invokefunction' ? this.#handlers.get(frame.function_id as string) : undefined
    if (handler === undefined) return
    const answer = {
      type: 'invocationresult',
      invocation_id: frame.invocation_id,
      function_id: frame.function_id,
    }
    try {
      this.send({ ...answer, result: await handler(frame.data, frame) })
    } catch (error) {
      this.send({ ...answer, error: { code: 'invocation_failed', message: (error as Error).message } })
    }
  }
}
