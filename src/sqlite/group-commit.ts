import { Worker } from 'node:worker_threads'
import { CqrsError, type ErrorCode } from '../kernel/errors.ts'
import { pairAt } from './pairs.ts'

export type ToThread<Request> = { kind: 'batch'; requests: Request[] } | { kind: 'close' }

export type FailedReply = { code: ErrorCode | undefined; message: string; details: Record<string, unknown> }

export type Reply<Result> = { ok: true; value: Result } | { ok: false; error: FailedReply }

export type FromThread<Result> =
  | { kind: 'ready' }
  | { kind: 'failed-to-open'; error: FailedReply }
  /** Every request of a batch succeeded: only the results, which cost less to pass than replies. */
  | { kind: 'results'; results: Result[] }
  /** The same, for results that are pairs of numbers. */
  | { kind: 'pairs'; pairs: Float64Array }
  | { kind: 'replies'; replies: Reply<Result>[] }

/** The most batches that the thread has at a time: one in progress and one that waits behind it. */
const MAX_BATCHES = 2

/**
 * The fewest requests that are sent as a batch behind the one in progress. Fewer are gathered until that one ends: a
 * small batch would cost an fsync of its own.
 */
const WORTH_A_BATCH = 256

/**
 * The smallest size of the second batch, as a share of the batch in progress. Without it batches would get smaller and
 * smaller.
 */
const LIKE_THE_FIRST = 0.75

export interface GroupCommitOptions {
  /** The module that the thread runs; it calls `serveCommits`. */
  module: URL
  /** Passed to the module; must be cloneable. */
  workerData: unknown
  /** What the store is called in messages. */
  name: string
  /** The most requests in one transaction. Default 1,024. */
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
 * Group commit: the requests of many callers become one transaction with one fsync. It runs in a thread of its own, so
 * that the event loop never waits for the disk. While one transaction is in progress, further requests gather; when it
 * ends, all of them (up to `maxBatch`) become the next one. So a single caller waits for nobody, and a thousand callers
 * share an fsync.
 *
 * If many requests wait, they are sent as two halves, one behind the other: the thread stores one half while this side
 * takes the answers and the next requests of the other half. With a single batch each side would wait for the other.
 *
 * If the thread dies, the requests that it had fail (it is not known whether they were committed), and so do those that
 * wait. The next request starts the thread again.
 */
export class GroupCommit<Request, Result> {
  readonly #options: Required<GroupCommitOptions>
  #waiting: Waiting<Request, Result>[] = []
  /** Batches that the thread has, oldest first; it executes them in this order. */
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

  /** How many requests are waiting or in progress. */
  get pending(): number {
    return this.#waiting.length + this.#inFlight.reduce((sum, batch) => sum + batch.length, 0)
  }

  /**
   * Resolves after the request's transaction is on stable storage.
   *
   * @throws CqrsError CQRS_OVERLOADED, CQRS_CLOSED, or the error of the store; nothing was acknowledged
   */
  submit(request: Request): Promise<Result> {
    if (this.#closing) {
      return Promise.reject(
        new CqrsError('CQRS_CLOSED', `The ${this.#options.name} is closing; try again later.`),
      )
    }
    if (this.#waiting.length >= this.#options.maxWaiting) {
      const message = `${this.#waiting.length} requests are waiting for the ${this.#options.name}; try again shortly.`
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

  /** Waits until the end of this turn of the event loop, so that further callers can join the batch. */
  #schedule(): void {
    if (this.#scheduled || !this.#hasBatch()) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#send()
    })
  }

  /** Whether a batch can be sent to the thread now. */
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

  /** @throws CqrsError if the system starts no further thread, as when a limit is reached */
  #newThread(): Worker {
    const { module, workerData, name } = this.#options
    try {
      return new Worker(module, { workerData })
    } catch (cause) {
      const message = `The writer thread of the ${name} cannot be started: ${(cause as Error).message}. Nothing was stored; raise the limit on threads, or try again.`
      throw new CqrsError('CQRS_STORE_UNAVAILABLE', message, { cause })
    }
  }

  #toError(error: FailedReply | undefined): Error {
    if (error?.code) return new CqrsError(error.code, error.message, { details: error.details })
    return new Error(error?.message ?? `The ${this.#options.name} gave no answer.`)
  }
}
