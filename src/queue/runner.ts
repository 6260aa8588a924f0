import type { Logger } from 'pino'
import { reached } from '../boundaries.ts'
import { backoff } from '../kernel/backoff.ts'
import { isCqrsError } from '../kernel/errors.ts'
import { steadyClock } from '../kernel/steady-clock.ts'
import type { Clock } from './clock.ts'
import type { Failure, QueueStore, StoredMessage } from './contract.ts'
import { DueTimes } from './due-times.ts'
import { type Lane, seqOf } from './lane.ts'
import type { MemoryPool } from './memory-pool.ts'
import { MissingFunctions } from './missing-functions.ts'
import { Outcomes } from './outcomes.ts'
import type { QueueSettings } from './settings.ts'
import { Window, type WindowLimits } from './window.ts'

/**
 * How a delivery ended:
 * - `done`: the function succeeded; whatever it returned is ignored
 * - `failed`: it threw, or took too long
 * - `stopped`: its worker died before it answered
 * - `missing`: no worker offers the function at the moment; or it is a command, and no command can be stored
 * - `unsent`: the message did not leave this process, or its engine or this process stood still meanwhile; or it is for a
 *   command, and too many commands wait
 */
export type DeliveryOutcome =
  | { outcome: 'done' }
  | { outcome: 'failed'; error: string }
  | { outcome: 'stopped'; error: string }
  | { outcome: 'missing' }
  | { outcome: 'unsent' }

/** Carries a message to its function; never rejects. */
export type Deliver = (message: StoredMessage, settings: QueueSettings) => Promise<DeliveryOutcome>

export interface RunnerOptions {
  queue: string
  settings: QueueSettings
  paused: boolean
  store: QueueStore
  deliver: Deliver
  clock: Clock
  random: () => number
  log: Logger
  limits: WindowLimits
  pool: MemoryPool
  /** How often a delivery is tried while its function is missing, in milliseconds. */
  probeMs: number
  /** How long to wait after a store error or an unsent message before trying again, in milliseconds. */
  storeRetryMs: number
}

/** A probe that has no answer after this time, in milliseconds, has found its function. */
const PROBE_ANSWER_MS = 500

interface Delivery {
  lane: Lane
  message: StoredMessage
}

/**
 * Delivers the messages of one queue: takes lanes from the window, up to `concurrency` at a time, and stores how each
 * delivery ended before its lane goes on.
 *
 * A delivery passes through: in flight → answered → settled (its outcome is on stable storage). A delivery that has not
 * settled when the process dies is repeated by the next process.
 */
export class QueueRunner {
  readonly #options: RunnerOptions
  readonly #window: Window
  readonly #missing: MissingFunctions
  readonly #retries: DueTimes<Lane>
  readonly #inFlight = new Set<Delivery>()
  /** The clock of due times: what is stored does not jump with the wall clock. */
  readonly #steadyNow: () => number
  #settings: QueueSettings
  #paused: boolean
  /** Changes that are in progress; one more until deliveries begin. */
  #holds = 1
  #stopped = false
  readonly #outcomes: Outcomes
  #acknowledged: { seq: number; settled: () => void }[] = []
  #acknowledging = 0
  /** The queue could not be read, and is to be read again after `storeRetryMs`. */
  #isReadLater = false
  #onQuiet: (() => void) | undefined

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#settings = options.settings
    this.#paused = options.paused
    const { queue, store, limits, pool, clock, log, probeMs, storeRetryMs } = options
    this.#steadyNow = steadyClock(
      () => clock.now(),
      () => clock.monotonic(),
    )
    this.#window = new Window({
      queue,
      store,
      limits,
      pool,
      onReady: () => this.#pump(),
      onError: (error) => this.#onReadError(error),
    })
    this.#outcomes = new Outcomes({
      queue,
      clock,
      log,
      storeRetryMs,
      onSettled: () => {
        this.#pump()
        this.#reportQuiet()
      },
    })
    this.#retries = new DueTimes(clock, (lane) => {
      if (lane.state !== 'waiting') return
      this.#window.unblock(lane)
      this.#pump()
    })
    this.#missing = new MissingFunctions({
      clock,
      probeMs,
      release: (lane) => {
        this.#window.unblock(lane)
        this.#pump()
      },
      onLongMissing: (functionId) =>
        log.warn(
          { queue, function: functionId },
          'messages wait for a function that no worker offers, or that is a command and cannot be stored (a full disk); start ' +
            'its worker, or see what its worker logs, and they are delivered',
        ),
    })
  }

  /** Begins to deliver, once no change is in progress. */
  begin(): void {
    this.#holds -= 1
    this.#pump()
  }

  /** Figures for operators. `retrying`, `held` and `tracked` count only what is in memory. */
  get state(): { inFlight: number; retrying: number; missing: string[]; held: number; tracked: number } {
    const { held, tracked } = this.#window.size
    const missing = this.#missing.names
    return { inFlight: this.#inFlight.size, retrying: this.#retries.size, missing, held, tracked }
  }

  /** A message was stored in this queue. */
  accepted(message: StoredMessage): void {
    this.#window.accepted(message)
    this.#pump()
  }

  /** Tells that a message may have been stored in this queue; whether it was is not known. */
  perhapsAccepted(): void {
    this.#window.lookAgain()
    // While the store fails, every message fails: the queue must not be read, and the error logged, for each of them.
    if (!this.#isReadLater) this.#pump()
  }

  /** New settings apply from the next delivery on. */
  configure(settings: QueueSettings): void {
    this.#settings = settings
    this.#pump()
  }

  setPaused(paused: boolean): void {
    this.#paused = paused
    this.#pump()
  }

  /** Functions may be back. If `functionIds` is given, exactly these are back. */
  functionsAvailable(functionIds: string[] | undefined): void {
    if (functionIds) for (const functionId of functionIds) this.#missing.found(functionId)
    else this.#missing.probe()
  }

  /** The link over which the deliveries in flight were sent is gone, so their answers cannot come: sends them again. */
  reconnected(): void {
    for (const delivery of this.#inFlight) {
      this.#inFlight.delete(delivery)
      this.#window.resend(delivery.lane)
    }
    this.#pump()
    this.#reportQuiet()
  }

  /**
   * Starts no delivery while `change` puts messages back or deletes them, then starts over from the front of the queue.
   */
  async whileHeld<Result>(change: () => Promise<Result>): Promise<Result> {
    this.#holds += 1
    try {
      return await this.#outcomes.apart(change)
    } finally {
      this.#holds -= 1
      this.#window.rewind()
    }
  }

  /**
   * Starts no more deliveries and waits until those in flight are answered and settled, at most `deadlineMs`. Returns
   * how many were not; their messages stay in the store and are delivered again later.
   */
  async stop(deadlineMs: number): Promise<number> {
    this.#stopped = true
    this.#retries.clear()
    this.#missing.clear()
    if (deadlineMs > 0 && this.#inFlight.size + this.#outcomes.pending > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#options.clock.after(deadlineMs, resolve)
        this.#onQuiet = () => {
          cancel()
          resolve()
        }
      })
    }
    const unfinished = this.#inFlight.size + this.#outcomes.pending
    this.#inFlight.clear()
    this.#outcomes.end()
    this.#window.leave()
    return unfinished
  }

  #pump(): void {
    if (this.#stopped || this.#paused || this.#holds > 0) return
    while (this.#mayDeliver()) {
      const lane = this.#window.next()
      if (!lane) break
      this.#start(lane, lane.head)
    }
    this.#window.refill(this.#mayDeliver())
  }

  #mayDeliver(): boolean {
    return this.#inFlight.size < this.#settings.concurrency && this.#outcomes.pending < this.#maxSettling()
  }

  /** How many outcomes may wait for the store. With this limit, a store that hangs stops deliveries as well. */
  #maxSettling(): number {
    return Math.max(64, this.#settings.concurrency * 4)
  }

  #start(lane: Lane, message: StoredMessage): void {
    const wait = this.#untilDue(lane, message)
    if (wait > 0) {
      this.#wait(lane, wait)
    } else if (this.#missing.holds(message.functionId, lane)) {
      this.#window.block(lane, 'missing')
      this.#missing.add(message.functionId, lane)
    } else {
      const delivery = { lane, message }
      this.#inFlight.add(delivery)
      this.#window.deliver(lane)
      if (this.#missing.isProbe(message.functionId, lane)) this.#watchProbe(delivery)
      this.#options.deliver(message, this.#settings).then((outcome) => this.#answered(delivery, outcome))
    }
  }

  /** The engine answers at once if a function is missing. So a function that takes longer is there. */
  #watchProbe(delivery: Delivery): void {
    this.#options.clock.after(PROBE_ANSWER_MS, () => {
      if (this.#inFlight.has(delivery)) this.#missing.found(delivery.message.functionId)
    })
  }

  /**
   * How long to wait before the message is due, in milliseconds. Its due time may have been stored by another process
   * with a different wall clock. So no wait is longer than `max_backoff_ms`, and a lane waits for a message only once.
   */
  #untilDue(lane: Lane, message: StoredMessage): number {
    if (message.dueAt === undefined || lane.waitedFor === message.seq) return 0
    const wait = message.dueAt - this.#steadyNow()
    return Math.min(wait, this.#settings.max_backoff_ms)
  }

  #wait(lane: Lane, ms: number): void {
    lane.waitedFor = seqOf(lane.head)
    this.#window.block(lane, 'waiting')
    if (lane.state !== 'waiting') return
    if (ms > 0) this.#retries.add(lane, ms)
    else this.#window.unblock(lane)
  }

  #answered(delivery: Delivery, outcome: DeliveryOutcome): void {
    if (!this.#inFlight.delete(delivery)) return
    reached('delivery-answered', this.#options.queue)
    const { lane, message } = delivery
    if (outcome.outcome !== 'missing' && outcome.outcome !== 'unsent') this.#missing.found(message.functionId)
    switch (outcome.outcome) {
      case 'done':
        this.#acknowledge(delivery)
        break
      case 'failed':
      case 'stopped':
        this.#fail(delivery, outcome.outcome, outcome.error)
        break
      case 'missing':
        this.#window.block(lane, 'missing')
        if (lane.state === 'missing') this.#missing.add(message.functionId, lane)
        break
      case 'unsent':
        this.#wait(lane, this.#options.storeRetryMs)
        break
    }
    this.#pump()
    this.#reportQuiet()
  }

  #fail({ lane, message }: Delivery, kind: Failure['kind'], error: string): void {
    const { queue, store, clock, random, log } = this.#options
    const attempts = message.attempts + (kind === 'failed' ? 1 : 0)
    const stops = message.stops + (kind === 'stopped' ? 1 : 0)
    const at = clock.now()
    const record = { seq: message.seq, attempts, stops, failure: { kind, error, at } }
    const bindings = { queue, function: message.functionId, message: message.id, attempts, stops, error }
    if (kind === 'failed' ? attempts >= this.#settings.max_retries : stops >= this.#settings.max_stops) {
      this.#outcomes.move(
        () => store.deadLetter(queue, record),
        (isThere) => {
          // Somebody may have purged the queue meanwhile.
          if (isThere) log.error(bindings, 'message has become a dead letter')
          this.#window.finish(lane)
        },
      )
      return
    }
    const failures = kind === 'failed' ? attempts : stops - 1
    const { backoff_ms: baseMs, max_backoff_ms: capMs } = this.#settings
    const wait = failures === 0 ? 0 : backoff(failures, { baseMs, capMs }, random)
    const due = clock.monotonic() + wait
    this.#outcomes.store(
      () => store.recordFailure(queue, record, this.#steadyNow() + wait),
      (isThere) => {
        // Somebody has purged the queue meanwhile.
        if (!isThere) return this.#window.finish(lane)
        log.warn({ ...bindings, retryInMs: wait }, 'delivery failed')
        this.#wait(lane, Math.max(0, due - clock.monotonic()))
      },
    )
  }

  /** Acknowledgements that arrive while others are being stored share the next request. */
  #acknowledge({ lane, message }: Delivery): void {
    this.#acknowledged.push({ seq: message.seq, settled: () => this.#window.finish(lane) })
    this.#sendAcknowledgements()
  }

  #sendAcknowledgements(): void {
    if (this.#acknowledging >= 2 || this.#acknowledged.length === 0) return
    const batch = this.#acknowledged
    this.#acknowledged = []
    this.#acknowledging += 1
    const { queue, store } = this.#options
    this.#outcomes.store(
      () =>
        store.acknowledge(
          queue,
          batch.map(({ seq }) => seq),
        ),
      () => {
        this.#acknowledging -= 1
        for (const { settled } of batch) settled()
        this.#sendAcknowledgements()
      },
      batch.length,
    )
  }

  #onReadError(error: unknown): void {
    if (isCqrsError(error, 'CQRS_CLOSED')) return
    const { queue, log, clock, storeRetryMs } = this.#options
    log.error({ queue, err: error }, 'the queue could not be read; trying again')
    if (this.#isReadLater) return
    this.#isReadLater = true
    clock.after(storeRetryMs, () => {
      this.#isReadLater = false
      this.#pump()
    })
  }

  #reportQuiet(): void {
    if (this.#inFlight.size + this.#outcomes.pending === 0) this.#onQuiet?.()
  }
}
