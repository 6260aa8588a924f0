import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Hub } from '../hub.ts'
import type { Call } from '../invocations.ts'
import type { HttpOptions } from '../options.ts'
import type { ErrorBody, Outcome } from '../outcome.ts'
import { type Answer, answerFrom, errorAnswer, writeAnswer } from './answer.ts'
import { readBody } from './body.ts'
import { corsHeaders, isForeign, preflight } from './cors.ts'
import { Exchange } from './exchange.ts'
import {
  AWAY,
  BAD_PATH,
  BODY_LATE,
  CONDITION_NOT_MET,
  CONGESTED,
  CROSS_SITE,
  NO_ANSWER,
  notFound,
  OVERLOADED,
  refusedBody,
  TIMED_OUT,
  wrongMethod,
} from './own-answers.ts'
import { callPayload, type HttpCall, middlewarePayload, readCall, splitTarget } from './request.ts'
import { type Route, RouteTable } from './routes.ts'

/** The name under which HTTP appears among the workers. */
export const HTTP_WORKER = 'iii-http'

/** Serves the routes that workers register with triggers of type `http`. */
export class HttpWorker {
  readonly server: Server
  readonly #hub: Hub
  readonly #options: HttpOptions
  readonly #routes: RouteTable
  readonly #startedAt = performance.now()
  readonly #middleware: readonly string[]
  /**
   * Requests whose body is still arriving. They are counted apart, because a client may send as slowly as it likes:
   * others are served meanwhile.
   */
  readonly #arriving: Crowd
  readonly #underWay: Crowd

  constructor(hub: Hub, options: HttpOptions) {
    this.#hub = hub
    this.#options = options
    this.#arriving = new Crowd(options.concurrencyRequestLimit)
    this.#underWay = new Crowd(options.concurrencyRequestLimit)
    this.#routes = new RouteTable(options.awayRouteMs, () => performance.now())
    this.#middleware = [...options.middleware]
      .sort((a, b) => a.priority - b.priority)
      .map((each) => each.functionId)
    this.server = createServer(
      {
        headersTimeout: options.headersTimeoutMs,
        requestTimeout: options.requestTimeoutMs,
        keepAliveTimeout: options.keepAliveTimeoutMs,
        // Node enforces the two timeouts above only this often.
        connectionsCheckingInterval: Math.max(
          50,
          Math.min(options.headersTimeoutMs, options.requestTimeoutMs) / 4,
        ),
      },
      (request, response) => {
        this.#serve(request, response)
      },
    )
    hub.triggers.registerType({
      id: 'http',
      description: 'Runs a function for the HTTP requests of a route.',
      configSchema: CONFIG_SCHEMA,
      callSchema: undefined,
      provider: this.#routes,
      owner: undefined,
    })
  }

  /** Stops listening and cuts every connection. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve())
      this.server.closeAllConnections()
    })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let among = hasBody(request) ? this.#arriving : this.#underWay
    if (this.#underWay.isFull || !among.enter()) return this.#finish(request, response, OVERLOADED)
    const arrived = () => {
      if (among === this.#underWay) return true
      if (!this.#underWay.enter()) return false
      among.leave()
      among = this.#underWay
      return true
    }
    let timer: NodeJS.Timeout | undefined
    const deadline = new Deadline()
    const timeout = new Promise<Answer>((resolve) => {
      timer = setTimeout(() => resolve(deadline.pass()), this.#options.defaultTimeoutMs)
    })
    try {
      const answer = await Promise.race([this.#answer(request, deadline, arrived), timeout])
      if (answer !== undefined) this.#finish(request, response, answer)
    } catch (error) {
      const id = this.#errorId()
      this.#hub.logger.error({ err: error, error_id: id }, 'an HTTP request could not be served')
      if (!response.headersSent) {
        this.#finish(request, response, errorAnswer(500, { ...INTERNAL_ERROR, error_id: id }))
      }
    } finally {
      clearTimeout(timer)
      among.leave()
    }
  }

  /**
   * The answer to a request; undefined when the client has gone away.
   *
   * @param arrived counts the request as under way, once its body is there; returns false if too many are
   */
  async #answer(
    request: IncomingMessage,
    deadline: Deadline,
    arrived: () => boolean,
  ): Promise<Answer | undefined> {
    const permission = preflight(this.#options.cors, request)
    if (permission !== undefined) return permission
    if (isForeign(this.#options.cors, request)) return CROSS_SITE
    const { path, query } = splitTarget(request.url ?? '/')
    const match = this.#routes.match(request.method ?? 'GET', path)
    if (match.kind === 'bad_path') return BAD_PATH
    if (match.kind === 'away') return AWAY
    // The worker of another method on the same path may not have connected yet.
    if (match.kind !== 'route' && this.#isStarting()) return AWAY
    if (match.kind === 'unknown') return notFound(request.method ?? 'GET', path)
    if (match.kind === 'wrong_method') return wrongMethod(match.allowed)
    const { maxBodyBytes, maxDepth } = this.#options
    const body = await readBody(request, { maxBytes: maxBodyBytes, maxDepth })
    // A client that was told that it is too late must not have its request carried out afterwards.
    if (body.kind === 'aborted' || deadline.isPassed) return undefined
    if (!arrived()) return OVERLOADED
    deadline.answer = TIMED_OUT
    if (body.kind === 'malformed' || body.kind === 'too_large') return refusedBody(body, maxBodyBytes)
    const json = body.kind === 'json' ? body.json : 'null'
    const call = readCall(request, query, match.route, match.pathParams, json)
    const exchange = new Exchange(this.#hub.channels, request, body)
    deadline.onPass = () => exchange.abort()
    let answer: Answer | undefined
    try {
      answer = await this.#run(call, exchange, deadline)
    } finally {
      exchange.settle(answer)
    }
    return answer
  }

  /** Whether the engine has started so recently that its workers may not have come back yet. */
  #isStarting(): boolean {
    return performance.now() - this.#startedAt < this.#options.startingMs
  }

  /**
   * Runs the middleware and the condition, each of which may answer in place of the function, then the function. After
   * the deadline, when the client was told that it is too late, nothing more is called.
   */
  async #run(call: HttpCall, exchange: Exchange, deadline: Deadline): Promise<Answer> {
    const { route } = call
    const { functions, invocations } = this.#hub
    const middleware = (functionId: string) =>
      [functionId, () => this.#runMiddleware(functionId, call, deadline)] as const
    const condition = route.conditionFunctionId
    const before = [
      ...this.#middleware.map(middleware),
      ...(condition === undefined
        ? []
        : [[condition, () => this.#checkCondition(condition, call, deadline)] as const]),
      ...route.middlewareFunctionIds.map(middleware),
    ]
    for (const [functionId, step] of before) {
      if (invocations.isCongested(functionId)) return CONGESTED
      const answer = await step()
      if (answer !== undefined) return answer
      if (deadline.isPassed) return deadline.answer
    }
    const { functionId } = route.trigger
    // The worker left while the body was arriving.
    if (functions.get(functionId) === undefined && this.#routes.isAway(route)) return AWAY
    if (invocations.isCongested(functionId)) return CONGESTED
    return this.#runFunction(route, call, exchange, deadline)
  }

  async #runMiddleware(functionId: string, call: HttpCall, deadline: Deadline): Promise<Answer | undefined> {
    const data = middlewarePayload(call)
    const outcome = await this.#call({ ...call.trace, functionId, data }, deadline)
    if (!outcome.ok) return this.#failed(functionId, outcome.error)
    const said = JSON.parse(outcome.result ?? 'null') as { action?: unknown; response?: unknown } | null
    if (said?.action !== 'respond') return undefined
    return answerFrom(JSON.stringify(said.response ?? null), 'null')
  }

  async #checkCondition(functionId: string, call: HttpCall, deadline: Deadline): Promise<Answer | undefined> {
    const outcome = await this.#call({ ...call.trace, functionId, data: callPayload(call) }, deadline)
    if (!outcome.ok) return this.#failed(functionId, outcome.error)
    return outcome.result === 'false' ? CONDITION_NOT_MET : undefined
  }

  /** A function answers by what it returns or, if it returns nothing, through the channel `response`. */
  async #runFunction(route: Route, call: HttpCall, exchange: Exchange, deadline: Deadline): Promise<Answer> {
    const { functionId, metadata } = route.trigger
    const data = exchange.addTo(callPayload(call))
    const returned = this.#call({ ...call.trace, functionId, data, metadata }, deadline).then((outcome) => {
      if (!outcome.ok) {
        // A stopping worker withdrew the function while the request was on its way to it.
        if (outcome.error.code === 'function_not_found' && this.#routes.isAway(route)) return AWAY
        return this.#failed(functionId, outcome.error)
      }
      if (outcome.result !== undefined) return answerFrom(outcome.result, '{}')
      deadline.answer = NO_ANSWER
      return new Promise<never>(() => {})
    })
    return Promise.race([exchange.answering.then(() => exchange.readAnswer()), returned])
  }

  /**
   * Makes a call that is given up at the deadline. If it waited on, a function that never answers would keep the whole
   * request in memory.
   */
  #call(call: Call, deadline: Deadline): Promise<Outcome> {
    const { invocations } = this.#hub
    return new Promise((resolve) => {
      const invocation = invocations.invoke(call, resolve)
      deadline.giveUp = () => invocation && invocations.giveUp(invocation)
    })
  }

  /** The stack trace is only logged; the id in the answer leads to that entry. */
  #failed(functionId: string, error: ErrorBody): Answer {
    const id = this.#errorId()
    this.#hub.logger.error(
      { functionId, code: error.code, error_id: id, stack: error.stacktrace },
      `the function of a route failed: ${error.message}`,
    )
    return errorAnswer(500, { code: error.code, message: error.message, error_id: id })
  }

  #errorId(): string {
    return this.#hub.newId().replaceAll('-', '').slice(0, 12)
  }

  #finish(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    if (response.destroyed) {
      if (typeof answer.body !== 'string') answer.body.destroy()
      return
    }
    // Read and drop the rest of the body: a client that is cut off while it sends would miss the answer. Not for a
    // streamed answer, since its function may still be reading the body.
    if (typeof answer.body === 'string') request.resume()
    writeAnswer(response, {
      ...answer,
      headers: [...answer.headers, ...corsHeaders(this.#options.cors, request)],
    })
  }
}

/** Counts the requests at one stage, up to a limit. */
class Crowd {
  readonly #most: number
  #size = 0

  constructor(most: number) {
    this.#most = most
  }

  get isFull(): boolean {
    return this.#size >= this.#most
  }

  /** False if it is full. */
  enter(): boolean {
    if (this.isFull) return false
    this.#size += 1
    return true
  }

  leave(): void {
    this.#size -= 1
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

const INTERNAL_ERROR = { code: 'INTERNAL_ERROR', message: 'The engine failed to serve the request.' }

/** The deadline of a request, and the answer if its function has not answered by then. */
class Deadline {
  answer: Answer = BODY_LATE
  isPassed = false
  onPass: () => void = () => {}
  /** Gives up the call that is under way. */
  giveUp: () => void = () => {}

  pass(): Answer {
    this.isPassed = true
    this.onPass()
    this.giveUp()
    return this.answer
  }
}

const CONFIG_SCHEMA = {
  type: 'object',
  properties: {
    api_path: { type: 'string' },
    http_method: { type: 'string' },
    condition_function_id: { type: 'string' },
    middleware_function_ids: { type: 'array', items: { type: 'string' } },
  },
  required: ['api_path'],
}
