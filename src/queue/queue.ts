import { randomUUID } from 'node:crypto'
import { CqrsError, isCqrsError } from '../kernel/errors.ts'
import { systemClock } from './clock.ts'
import type { NewMessage, QueueDefinition, QueueStatus, StoredMessage, Subscription } from './contract.ts'
import { type AfterLetter, type ListedLetter, listDeadLetters } from './dead-letters.ts'
import { encodeData } from './encode-data.ts'
import { groupOf, orderRefused, reorders } from './group.ts'
import { MemoryPool } from './memory-pool.ts'
import type { DurableQueueOptions } from './options.ts'
import { type ManagedQueue, QueueRegistry, subscriptionQueue } from './registry.ts'
import { type DeliveryOutcome, QueueRunner } from './runner.ts'
import { assertQueueName, parseQueueSettings, type QueueSettings } from './settings.ts'
import { WINDOW_LIMITS } from './window.ts'

/** The queue that exists without being defined, as in iii. */
const DEFAULT_QUEUE = 'default'

/** How many messages one transaction moves or deletes at most. */
const CHUNK = 1_000

/** A message for a named queue. */
export interface EnqueueRequest {
  queue: string
  functionId: string
  data: unknown
  /** See {@link NewMessage.id}. */
  id: string
  traceparent?: string | undefined
}

/** One delivery: the message, and the settings and subscription of its queue. */
export interface DeliveryRequest {
  queue: string
  message: StoredMessage
  settings: QueueSettings
  subscription: Subscription | undefined
}

/** Carries a message to its function; never rejects. */
export type DeliverToFunction = (request: DeliveryRequest) => Promise<DeliveryOutcome>

/**
 * Durable queues on a store. An accepted message is on stable storage; it is delivered until its function succeeds or
 * it becomes a dead letter. Deliveries begin with {@link start}.
 */
export class DurableQueue {
  readonly #options: DurableQueueOptions
  readonly #queues: QueueRegistry
  readonly #pool: MemoryPool
  #deliver: DeliverToFunction | undefined

  private constructor(options: DurableQueueOptions) {
    this.#options = options
    this.#queues = new QueueRegistry(options.store, (...stored) => this.#add(...stored))
    this.#pool = new MemoryPool(options.memory)
  }

  /**
   * Reads the queues of the store and defines those in `options.queues`. If that would change the order of a queue that
   * holds messages or dead letters, the queue keeps its definition until a start finds it empty. From now on the store
   * belongs to this object: {@link stop} closes it.
   *
   * @throws CqrsError CQRS_QUEUE_INVALID if settings are not valid
   */
  static async open(options: DurableQueueOptions): Promise<DurableQueue> {
    const queue = new DurableQueue(options)
    for (const { name, paused, settings, subscription } of await options.store.queues()) {
      queue.#add(name, { settings, subscription }, paused)
    }
    for (const [name, given] of Object.entries(options.queues ?? {})) await queue.#defineAtStart(name, given)
    if (!queue.#queues.get(DEFAULT_QUEUE)) await queue.define(DEFAULT_QUEUE, {})
    return queue
  }

  /** Begins to deliver. */
  start(deliver: DeliverToFunction): void {
    this.#deliver = deliver
    for (const { runner } of this.#queues.all()) runner.begin()
  }

  /**
   * Defines a queue, or changes its settings (they apply from the next delivery on).
   *
   * @returns the settings with defaults filled in
   * @throws CqrsError CQRS_QUEUE_INVALID
   */
  async define(name: string, given: unknown): Promise<QueueSettings> {
    assertQueueName(name)
    const settings = parseQueueSettings(name, given)
    await this.#queues.inTurn(name, async () => {
      if (this.#queues.get(name)?.definition.subscription) {
        throw new CqrsError(
          'CQRS_QUEUE_INVALID',
          `"${name}" is the queue of a topic's subscription; choose another name.`,
        )
      }
      await this.#define(name, { settings, subscription: undefined })
    })
    return settings
  }

  /**
   * Subscribes a function to a topic: from now on it gets every message published there, including those published
   * while it is away. Subscribing again replaces the condition and the settings.
   */
  async subscribe(subscription: Subscription, settings: QueueSettings): Promise<void> {
    const name = subscriptionQueue(subscription)
    await this.#queues.inTurn(name, async () => {
      const known = this.#queues.get(name)
      if (known && known.definition.subscription?.topic !== subscription.topic) {
        const message = `A queue named "${name}" exists already; rename it, or the topic or the function.`
        throw new CqrsError('CQRS_QUEUE_INVALID', message)
      }
      await this.#define(name, { settings, subscription })
    })
  }

  /**
   * Ends a subscription and deletes its messages and dead letters. Returns false if there is no such subscription. If
   * the store fails or the process is killed before all are deleted, the subscription stays, with the newer ones: call
   * this again.
   */
  async unsubscribe(topic: string, functionId: string): Promise<boolean> {
    const name = subscriptionQueue({ topic, functionId })
    return this.#queues.inTurn(name, async () => {
      const queue = this.#queues.get(name)
      if (queue?.definition.subscription?.topic !== topic) return false
      const remove = async () => {
        while (!(await this.#options.store.remove(name, CHUNK))) {
          // Each call removes a chunk, so that other callers get their turn in between.
        }
      }
      try {
        await this.#queues.store(name, () => this.#queues.remove(name, remove))
      } catch (error) {
        // If the store cannot be read either, the queue may still be there.
        const keep = () => this.#queues.get(name) ?? this.#add(name, queue.definition, queue.paused)
        await this.#queues.endDoubts([name]).catch(keep)
        // Otherwise only the last answer was lost.
        if (this.#queues.get(name)) throw error
      }
      return true
    })
  }

  /**
   * Stores a message for a function; resolves after fsync. A second message with the same id is ignored.
   *
   * @throws CqrsError CQRS_NOT_FOUND if there is no such queue, CQRS_QUEUE_INVALID if the message does not
   *   fit it, or a store error; nothing was stored
   */
  async enqueue(request: EnqueueRequest): Promise<void> {
    const unsettled = () => this.#queues.unsettled([request.queue])
    for (let change = unsettled(); change; change = unsettled()) await change
    const queue = this.#queues.get(request.queue)
    if (!queue) throw this.#queues.unknown(request.queue)
    const data = encodeData(request.data, this.#options.maxDataLength)
    const group = groupOf(queue.name, queue.definition, request.data)
    const { id, functionId, traceparent } = request
    await this.#store([{ queue: queue.name, id, functionId, group, data, traceparent }])
  }

  /** Stores a message for every subscriber of a topic, all or none. Returns the number of subscribers. */
  async publish(topic: string, data: unknown, traceparent?: string): Promise<number> {
    const unsettled = () => this.#queues.unsettled(this.#queues.subscribers(topic).map(({ name }) => name))
    for (let change = unsettled(); change; change = unsettled()) await change
    const subscribers = this.#queues.subscribers(topic)
    if (subscribers.length === 0) return 0
    const encoded = encodeData(data, this.#options.maxDataLength)
    const messages = subscribers.map(({ name, definition }) => ({
      queue: name,
      id: randomUUID(),
      functionId: definition.subscription?.functionId ?? '',
      group: groupOf(name, definition, data),
      data: encoded,
      traceparent,
    }))
    await this.#store(messages)
    return subscribers.length
  }

  /**
   * Puts all dead letters of a queue or topic back, in their original order. Returns how many.
   *
   * @param tell called after each transaction with how many more are back (possibly 0)
   */
  async redrive(name: string, tell: (moved: number) => void = () => {}): Promise<number> {
    let redriven = 0
    for (const queue of this.#queues.resolve(name)) {
      await this.#change(queue, async () => {
        for (let moved = CHUNK; moved === CHUNK; redriven += moved) {
          moved = await this.#options.store.redrive(queue.name, CHUNK)
          tell(moved)
        }
      })
    }
    return redriven
  }

  /** Puts one dead letter back; false if there is none with this id (any more). */
  async redriveMessage(name: string, id: string): Promise<boolean> {
    for (const queue of this.#queues.resolve(name)) {
      const redriven = () => this.#options.store.redriveMessage(queue.name, id)
      if (await this.#change(queue, redriven)) return true
    }
    return false
  }

  /** Deletes one dead letter; false if there is none with this id (any more). */
  async discard(name: string, id: string): Promise<boolean> {
    for (const queue of this.#queues.resolve(name)) {
      if (await this.#options.store.discard(queue.name, id)) return true
    }
    return false
  }

  /**
   * Deletes every message that waits in a queue or topic at this moment. Dead letters stay; so do messages that are
   * redriven while this runs. A delivery in flight goes on to its end, but if it fails, the message is not tried again
   * and does not become a dead letter. If the process is killed in between, only the oldest messages are deleted.
   *
   * @returns how many were deleted
   */
  async purge(name: string): Promise<number> {
    const { store } = this.#options
    let purged = 0
    for (const queue of this.#queues.resolve(name)) {
      await this.#change(queue, async () => {
        const through = (await store.queues([queue.name]))[0]?.tail ?? 0
        for (let deleted = CHUNK; deleted === CHUNK; purged += deleted) {
          deleted = await store.purge(queue.name, through, CHUNK)
        }
      })
    }
    return purged
  }

  /** Dead letters of a queue in original order; those of a topic queue by queue. See {@link listDeadLetters}. */
  async deadLetters(
    name: string,
    offset: number,
    limit: number,
    after?: AfterLetter,
    maxLength = Number.MAX_SAFE_INTEGER,
  ): Promise<ListedLetter[]> {
    const queues = this.#queues.resolve(name).map((queue) => queue.name)
    return listDeadLetters(this.#options.store, queues, { offset, limit, after, maxLength })
  }

  /** One dead letter; undefined if there is none with this id (any more). */
  async findDeadLetter(name: string, id: string): Promise<ListedLetter | undefined> {
    for (const { name: queue } of this.#queues.resolve(name)) {
      const letter = await this.#options.store.findDeadLetter(queue, id)
      if (letter) return { ...letter, queue }
    }
    return undefined
  }

  /** Pauses or resumes the deliveries of a queue or topic; this survives restarts. Enqueuing goes on. */
  async setPaused(name: string, paused: boolean): Promise<void> {
    for (const { name: queue } of this.#queues.resolve(name)) {
      await this.#queues.store(queue, () => this.#options.store.setPaused(queue, paused))
      this.#queues.change(queue, { paused })
    }
  }

  /** Names of queues, including those of subscriptions, sorted: those after `after`, at most `limit`. */
  names(after: string, limit: number): string[] {
    const names = Array.from(this.#queues.all(), ({ name }) => name).filter((name) => name > after)
    return names.sort((left, right) => (left < right ? -1 : 1)).slice(0, limit)
  }

  /** Every queue, including those of subscriptions; with `only`, those of these names that exist. */
  async list(only?: readonly string[]): Promise<QueueStatus[]> {
    await this.#queues.endDoubts()
    const stored = await this.#options.store.queues(only)
    return stored.map((queue) => {
      const state = this.#queues.get(queue.name)?.runner.state
      const { inFlight = 0, retrying = 0, missing = [], held = 0, tracked = 0 } = state ?? {}
      return { ...queue, inFlight, retrying, missing, memory: { held, tracked } }
    })
  }

  /** The queues that a name stands for: the queue itself, or those of the topic's subscriptions. */
  async status(name: string): Promise<QueueStatus[]> {
    return this.list(this.#queues.resolve(name).map((queue) => queue.name))
  }

  /** Says that functions may be back. If `functionIds` is given, exactly these are back. */
  functionsAvailable(functionIds?: string[]): void {
    for (const { runner } of this.#queues.all()) runner.functionsAvailable(functionIds)
  }

  /** Says that the link to the engine is a new one: what was in flight on the old one is delivered again. */
  reconnected(): void {
    for (const { runner } of this.#queues.all()) runner.reconnected()
  }

  /**
   * Stops delivering, waits for deliveries in flight (at most `deadlineMs`, default 10,000) and closes the store.
   * Returns how many deliveries were not finished; they are repeated after the next start.
   */
  async stop(deadlineMs = 10_000): Promise<number> {
    const runners = [...this.#queues.all()].map(({ runner }) => runner)
    const unfinished = await Promise.all(runners.map((runner) => runner.stop(deadlineMs)))
    await this.#options.store.close()
    return unfinished.reduce((sum, count) => sum + count, 0)
  }

  async #store(messages: NewMessage[]): Promise<void> {
    const outcomes = await this.#options.store.enqueue(messages).catch((error: unknown) => {
      // They may have been stored all the same. A sender that tries again with the same receipt is told that its
      // message is stored, so the message must be found and delivered.
      const isUnknown = !isCqrsError(error, 'CQRS_OVERLOADED')
      for (const { queue } of isUnknown ? messages : []) this.#queues.get(queue)?.runner.perhapsAccepted()
      throw error
    })
    messages.forEach(({ queue, ...message }, index) => {
      const result = outcomes[index]
      if (result?.outcome !== 'accepted') return
      const fresh = { seq: result.seq, attempts: 0, stops: 0, dueAt: undefined }
      this.#queues.get(queue)?.runner.accepted({ ...message, ...fresh })
    })
    const unknown = messages.find((_, index) => outcomes[index]?.outcome === 'unknown-queue')
    if (unknown) throw this.#queues.unknown(unknown.queue)
  }

  /**
   * Defines a queue, or only warns if it holds messages in another order. Such a queue, which somebody has redefined,
   * must not keep the program from starting: only a program that runs can drain it.
   */
  async #defineAtStart(name: string, given: unknown): Promise<void> {
    const settings = parseQueueSettings(name, given)
    const kept = await this.#conflict(name, { settings, subscription: undefined })
    if (!kept) return void (await this.define(name, given))
    const message = `${kept.message} It keeps its present definition until a start at which it is empty.`
    this.#options.log.warn({ queue: name }, message)
  }

  async #define(name: string, definition: QueueDefinition): Promise<void> {
    const define = async () => {
      const conflict = await this.#conflict(name, definition)
      if (conflict) throw conflict
      await this.#queues.store(name, () => this.#options.store.define(name, definition))
      this.#apply(name, definition)
    }
    await this.#queues.endDoubts([name])
    const isReordered = reorders(this.#queues.get(name)?.definition, definition)
    await (isReordered ? this.#queues.reorder(name, define) : define())
  }

  /** Why a queue cannot have this definition for now; undefined if it can. */
  async #conflict(name: string, definition: QueueDefinition): Promise<CqrsError | undefined> {
    if (!reorders(this.#queues.get(name)?.definition, definition)) return undefined
    const counts = await this.#options.store.counts(name)
    return counts && counts.depth + counts.dead > 0 ? orderRefused(name, counts) : undefined
  }

  #apply(name: string, definition: QueueDefinition): void {
    if (this.#queues.get(name)) this.#queues.change(name, { definition })
    else this.#add(name, definition, false)
  }

  #add(name: string, definition: QueueDefinition, paused: boolean): void {
    const { store, log, limits, probeMs = 1_000, storeRetryMs = 1_000 } = this.#options
    const { clock = systemClock, random = Math.random } = this.#options
    const runner = new QueueRunner({
      queue: name,
      settings: definition.settings,
      paused,
      store,
      log,
      clock,
      random,
      probeMs,
      storeRetryMs,
      limits: { ...WINDOW_LIMITS, ...limits },
      pool: this.#pool,
      deliver: (message, settings) => {
        const deliver = this.#deliver as DeliverToFunction
        return deliver({ queue: name, message, settings, subscription: queue.definition.subscription })
      },
    })
    const queue: ManagedQueue = { name, definition, paused, runner }
    this.#queues.add(queue)
    if (this.#deliver) runner.begin()
  }

  /** Runs one change at a time: a purge would also delete what a redrive puts back while the purge is running. */
  #change<Result>({ name }: ManagedQueue, change: () => Promise<Result>): Promise<Result> {
    // When its turn comes, the queue may have ended, and another one may have begun under its name.
    return this.#queues.inTurn(name, () => this.#queues.get(name)?.runner.whileHeld(change) ?? change())
  }
}
