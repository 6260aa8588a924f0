import { Worker } from 'node:worker_threads'
import { CqrsError, type ErrorCode } from '../kernel/errors.ts'
import { pairAt } from './pairs.ts'

export type ToThread<Request> = { kind: 'batch'; requests: Request[] } | { kind: 'close' }

export type FailedReply = { code: ErrorCode | undefined; message: string; details: Record<string, unknown> }

export type Reply<Result> = { ok: true; value: Result } | { ok: false; error: FailedReply }

export type FromThread<Result> =
  | { kind: 'ready' }
  | { kind: 'failed-to-open'; error: FailedReply }
  /** All of a batch went well: the results alone, which cost less to hand over than replies. */
  | { kind: 'results'; results: Result[] }
  /** The same where they are pairs of numbers. */
  | { kind: 'pairs'; pairs: Float64Array }
  | { kind: 'replies'; replies: Reply<Result>[] }

/** Batches that the thread has at the same time: one under way and one that waits for its end. */
const MAX_BATCHES = 2

/**
 * Requests that are worth a batch behind the one under way. Fewer gather until that ends: a small group
 * would cost an fsync of its own.
 */
const WORTH_A_BATCH = 256

/** How large, compared to the batch under way, the one behind it is at the least: else batches become ever smaller. */
const LIKE_THE_FIRST = 0.75

export interface GroupCommitOptions {
  /** The module that the thread runs; it calls `serveCommits`. */
  module: URL
  /** Handed to the module; must be cloneable. */
  workerData: unknown
  /** What the store is called in messages. */
  name: string
  /** Requests in one transaction at the most. Default 1,024. */
  maxBatch?: number
  /** Requests that may wait; more are refused with CQRS_OVERLOADED. Default 20,000. */
  maxWaiting?: number
}

interface Waiting<Request, Result> {
  request: Request
  resolve(result: Result): void
  reject(error: unknown): void
}

/**
 * Group commit: requests of many callers become one transaction with one fsync, in a thread of their
 * own, so that the event loop never waits for the disk. While one transaction is under way the next
 * callers gather; when it ends, all of them (up to `maxBatch`) are the next one. One caller alone
 * therefore waits for nobody, and a thousand share an fsync.
 *
 * When many wait they go in two halves, one behind the other: the thread stores one while this one takes
 * the answers and the next requests of the other. In one batch each side would wait for the other.
 *
 * A thread that dies fails what it had in hand (whether that was committed is not known) and is
 * started again by the next request.
 */
export class GroupCommit<Request, Result> {
  readonly #options: Required<GroupCommitOptions>
  #waiting: Waiting<Request, Result>[] = []
  /** Batches that the thread has, oldest first; it carries them out in this order. */
  #inFlight: Waiting<Request, Result>[][] = []
  #thread: Worker | undefined
  #ready = false
  #scheduled = false
  #closing: Promise<void> | undefined
  #onIdle: (() => void) | undefined
  #starting: Promise<void> | undefined

  constructor(options: GroupCommitOptions) {
    this.#options = { maxBatch: 1_024, maxWaiting: 20_000, ...options }
  }

  /** Starts the thread and waits until its store is open. @throws CqrsError if it cannot be opened */
  start(): Promise<void> {
    return this.#thread && this.#ready ? Promise.resolve() : this.#startThread()
  }

  /** Requests that are waiting or under way. */
  get pending(): number {
    return this.#waiting.length + this.#inFlight.reduce((sum, batch) => sum + batch.length, 0)
  }

  /**
   * Answers after the request's transaction is on stable storage.
   *
   * @throws CqrsError CQRS_OVERLOADED, CQRS_CLOSED, or what the store failed with; nothing was acknowledged
   */
  submit(request: Request): Promise<Result> {
    if (this.#closing) {
      return Promise.reject(
        new CqrsError('CQRS_CLOSED', `The ${this.#options.name} is closing; try again later.`),
      )
    }
    if (this.#waiting.length >= this.#options.maxWaiting) {
      const message = `${this.#waiting.length} requests wait for the ${this.#options.name}; try again shortly.`
      return Promise.reject(new CqrsError('CQRS_OVERLOADED', message))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject })
      this.#schedule()
    })
  }

  /** Finishes what was submitted, then closes the store. */
  close(): Promise<void> {
    this.#closing ??= this.#drainAndClose()
    return this.#closing
  }

  async #drainAndClose(): Promise<void> {
    if (this.pending > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    const thread = this.#thread
    if (!thread) return
    const exited = new Promise((resolve) => thread.once('exit', resolve))
    thread.postMessage({ kind: 'close' } satisfies ToThread<Request>)
    await exited
  }

  /** Leaves the rest of this turn of the event loop to further callers, so that they share the batch. */
  #schedule(): void {
    if (this.#scheduled || !this.#hasBatch()) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#send()
    })
  }

  /** Whether the thread can be given a batch. */
  #hasBatch(): boolean {
    const [underWay] = this.#inFlight
    const least = underWay ? Math.max(WORTH_A_BATCH, LIKE_THE_FIRST * underWay.length) : 1
    return this.#inFlight.length < MAX_BATCHES && this.#waiting.length >= least
  }

  #send(): void {
    if (!this.#hasBatch()) return
    if (!this.#thread || !this.#ready) {
      this.#startThread().then(
        () => this.#send(),
        (error) => this.#failAll(error),
      )
      return
    }
    while (this.#hasBatch()) {
      const share = this.#inFlight.length === 0 ? Math.ceil(this.#waiting.length / 2) : this.#waiting.length
      const batch = this.#waiting.splice(0, Math.min(Math.max(WORTH_A_BATCH, share), this.#options.maxBatch))
      this.#inFlight.push(batch)
      const requests = batch.map(({ request }) => request)
      this.#thread.postMessage({ kind: 'batch', requests } satisfies ToThread<Request>)
    }
  }

  #settle(settle: (waiting: Waiting<Request, Result>, index: number) => void): void {
    const batch = this.#inFlight.shift() ?? []
    this.#send()
    batch.forEach(settle)
    this.#reportIdle()
  }

  #settleEach(replies: readonly Reply<Result>[]): void {
    this.#settle((waiting, index) => {
      const reply = replies[index]
      if (reply?.ok) waiting.resolve(reply.value)
      else waiting.reject(this.#toError(reply?.error))
    })
  }

  #failAll(error: unknown): void {
    const lost = [...this.#inFlight.flat(), ...this.#waiting]
    this.#inFlight = []
    this.#waiting = []
    for (const waiting of lost) waiting.reject(error)
    this.#reportIdle()
  }

  #reportIdle(): void {
    if (this.pending === 0) this.#onIdle?.()
  }

  #startThread(): Promise<void> {
    this.#starting ??= this.#spawn().finally(() => (this.#starting = undefined))
    return this.#starting
  }

  async #spawn(): Promise<void> {
    const thread = this.#newThread()
    this.#thread = thread
    this.#ready = false
    return new Promise((resolve, reject) => {
      thread.on('message', (message: FromThread<Result>) => {
        if (message.kind === 'results') {
          return this.#settle((waiting, index) => waiting.resolve(message.results[index] as Result))
        }
        if (message.kind === 'pairs') {
          return this.#settle((waiting, index) => waiting.resolve(pairAt(message.pairs, index) as Result))
        }
        if (message.kind === 'replies') return this.#settleEach(message.replies)
        if (message.kind === 'failed-to-open') return reject(this.#toError(message.error))
        this.#ready = true
        resolve()
      })
      let cause: unknown
      thread.on('error', (error) => (cause = error))
      thread.on('exit', () => {
        const wasReady = this.#thread === thread && this.#ready
        if (this.#thread === thread) {
          this.#thread = undefined
          this.#ready = false
        }
        const message = `The writer thread of the ${this.#options.name} ended; whether the last request was stored is unknown. Try again with the same idempotency key.`
        const error = new CqrsError('CQRS_STORE_UNAVAILABLE', message, { cause })
        reject(error)
        if (wasReady) this.#failAll(error)
      })
    })
  }

  /** @throws CqrsError if the system gives no further thread, of which there can be a limit */
  #newThread(): Worker {
    const { module, workerData, name } = this.#options
    try {
      return new Worker(module, { workerData })
    } catch (cause) {
      const message = `The writer thread of the ${name} cannot be started: ${(cause as Error).message}. Nothing was stored; raise the limit of threads, or try again.`
      throw new CqrsError('CQRS_STORE_UNAVAILABLE', message, { cause })
    }
  }

  #toError(error: FailedReply | undefined): Error {
    if (error?.code) return new CqrsError(error.code, error.message, { details: error.details })
    return new Error(error?.message ?? `The ${this.#options.name} gave no answer.`)
  }
}
