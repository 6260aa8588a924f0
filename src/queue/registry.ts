import { CqrsError } from '../kernel/errors.ts'
import type { QueueDefinition, QueueStore, StoredQueue, Subscription } from './contract.ts'
import { Doubts } from './doubts.ts'
import type { QueueRunner } from './runner.ts'

/** A queue, its current definition, and the runner that delivers its messages. */
export interface ManagedQueue {
  readonly name: string
  definition: QueueDefinition
  paused: boolean
  readonly runner: QueueRunner
}

type OnNew = (name: string, definition: QueueDefinition, paused: boolean) => void

/** How many queue names an error about an unknown queue lists at most. */
const NAMES_SHOWN = 20

/** The queues of a process by name, and by the topic that they are subscribed to. */
export class QueueRegistry {
  readonly #queues = new Map<string, ManagedQueue>()
  readonly #topics = new Map<string, ManagedQueue[]>()
  /** The last change that was asked for of each queue, by queue name, until it has ended. */
  readonly #turns = new Map<string, Promise<unknown>>()
  /** Changes of the order of a queue that are in progress, by queue name. */
  readonly #reordering = new Map<string, Promise<unknown>>()
  readonly #doubts: Doubts
  readonly #removing = new Set<string>()

  readonly #onNew: OnNew

  /** @param onNew called with a queue that the store has, for a change of it failed; has to {@link add} it */
  constructor(store: Pick<QueueStore, 'queues'>, onNew: OnNew) {
    this.#onNew = onNew
    this.#doubts = new Doubts(store, (name, stored) => this.#learn(name, stored))
  }

  get(name: string): ManagedQueue | undefined {
    return this.#queues.get(name)
  }

  all(): Iterable<ManagedQueue> {
    return this.#queues.values()
  }

  add(queue: ManagedQueue): void {
    this.#queues.set(queue.name, queue)
    const topic = queue.definition.subscription?.topic
    if (topic !== undefined) this.#topics.set(topic, [...this.subscribers(topic), queue])
  }

  /**
   * Takes a queue out, and does not take it over from the store again while `write` removes it there. If that fails, it
   * is out; see {@link store}.
   */
  async remove(name: string, write: () => Promise<void>): Promise<void> {
    this.drop(name)
    this.#removing.add(name)
    await write().finally(() => this.#removing.delete(name))
  }

  /** Takes out a queue, if it is there, and stops its deliveries. */
  drop(name: string): void {
    const queue = this.get(name)
    if (!queue) return
    void queue.runner.stop(0)
    this.#queues.delete(name)
    const topic = queue.definition.subscription?.topic
    if (topic === undefined) return
    const others = this.subscribers(topic).filter((other) => other !== queue)
    if (others.length > 0) this.#topics.set(topic, others)
    else this.#topics.delete(topic)
  }

  /** Takes over what was stored of a queue, if it is (still) there. */
  change(name: string, { definition, paused }: Partial<Pick<ManagedQueue, 'definition' | 'paused'>>): void {
    const queue = this.get(name)
    if (!queue) return
    if (definition !== undefined) {
      queue.definition = definition
      queue.runner.configure(definition.settings)
    }
    if (paused !== undefined) {
      queue.paused = paused
      queue.runner.setPaused(paused)
    }
  }

  /**
   * Stores a change of a queue. If that fails, it rejects; whether the change is stored is then not known, so what the
   * store has of the queue is taken over.
   */
  store<Result>(name: string, write: () => Promise<Result>): Promise<Result> {
    return this.#doubts.change(name, write)
  }

  /**
   * Takes over what the store has of these queues (by default of all) if {@link store} failed and could not do so.
   *
   * @throws CqrsError if the store cannot be read
   */
  async endDoubts(names?: readonly string[]): Promise<void> {
    await this.#doubts.end(names)
  }

  /**
   * Runs the changes of one queue one after the other, so that none works on a queue that another is changing or
   * removing.
   */
  inTurn<Result>(name: string, change: () => Promise<Result>): Promise<Result> {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(change)
    const ended = turn.then(
      () => undefined,
      () => undefined,
    )
    this.#turns.set(name, ended)
    ended.then(() => {
      if (this.#turns.get(name) === ended) this.#turns.delete(name)
    })
    return turn
  }

  /** Carries out a change of the order of a queue; see {@link unsettled}. */
  async reorder<Result>(name: string, change: () => Promise<Result>): Promise<Result> {
    const changing = change()
    this.#reordering.set(
      name,
      changing.catch(() => undefined),
    )
    try {
      return await changing
    } finally {
      this.#reordering.delete(name)
    }
  }

  /**
   * What has to end before the order of these queues is known: a change of it, or doubt about one that failed;
   * undefined if there is neither. Before a message is stored, wait for it and ask again: otherwise the message would
   * get its group by the old order. When there is nothing to wait for, hand the message to the store without another
   * `await`: a change could begin in between and find the queue empty.
   */
  unsettled(names: readonly string[]): Promise<unknown> | undefined {
    const name = names.find((each) => this.#reordering.has(each))
    return name === undefined ? this.#doubts.end(names) : this.#reordering.get(name)
  }

  /** The queues of a topic's subscriptions. */
  subscribers(topic: string): readonly ManagedQueue[] {
    return this.#topics.get(topic) ?? []
  }

  /**
   * The queues that a name stands for: the queue itself, or those of the topic's subscriptions.
   *
   * @throws CqrsError CQRS_NOT_FOUND if there is neither
   */
  resolve(name: string): readonly ManagedQueue[] {
    const queue = this.get(name)
    if (queue) return [queue]
    const subscribers = this.subscribers(name)
    if (subscribers.length === 0) throw this.unknown(name)
    return subscribers
  }

  #learn(name: string, stored: StoredQueue | undefined): void {
    if (!stored) {
      this.drop(name)
      return
    }
    const { settings, subscription, paused } = stored
    const definition = { settings, subscription }
    if (this.get(name)) this.change(name, { definition, paused })
    else if (!this.#removing.has(name)) this.#onNew(name, definition, paused)
  }

  /** The error for a queue that is not there. */
  unknown(name: string): CqrsError {
    const known = [...this.#queues.keys()].slice(0, NAMES_SHOWN).join(', ')
    return new CqrsError(
      'CQRS_NOT_FOUND',
      `There is no queue "${name}". Define it with queue::define. Known: ${known}.`,
      { details: { queue: name } },
    )
  }
}

/** The name of the queue of a subscription. */
export function subscriptionQueue({ topic, functionId }: Pick<Subscription, 'topic' | 'functionId'>): string {
  return `${topic}::${functionId}`
}
