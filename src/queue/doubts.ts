import type { QueueStore, StoredQueue } from './contract.ts'

/**
 * Changes of queues (their definition, whether they are paused, their removal) that failed. The store may have carried
 * out such a change all the same, and lost only the answer. So what is known of the queue is in doubt until it has been
 * read from the store again.
 */
export class Doubts {
  readonly #store: Pick<QueueStore, 'queues'>
  readonly #learn: (name: string, stored: StoredQueue | undefined) => void
  /** By queue name. A new object for each change, so that what was read before the change does not end the doubt. */
  readonly #open = new Map<string, object>()
  /** Reads that are to end a doubt, by queue name. */
  readonly #reading = new Map<string, Promise<void>>()

  /** @param learn takes over what the store has of a queue that was in doubt; undefined if it has no such queue */
  constructor(
    store: Pick<QueueStore, 'queues'>,
    learn: (name: string, stored: StoredQueue | undefined) => void,
  ) {
    this.#store = store
    this.#learn = learn
  }

  /** Carries out a change of a queue. If it fails, reads at once what the store has, and rejects with its error. */
  async change<Result>(name: string, write: () => Promise<Result>): Promise<Result> {
    try {
      const result = await write()
      if (this.#open.has(name)) this.#open.set(name, {})
      return result
    } catch (error) {
      this.#open.set(name, {})
      await this.#end(name)?.catch(() => undefined)
      throw error
    }
  }

  /**
   * Ends the doubts about these queues, all by default; undefined if there are none.
   *
   * @throws CqrsError if the store cannot be read; then they stay
   */
  end(names: Iterable<string> = this.#open.keys()): Promise<unknown> | undefined {
    // This is asked before each message, and there is hardly ever a doubt.
    if (this.#open.size === 0) return undefined
    const [first, ...others] = [...names].flatMap((name) => this.#end(name) ?? [])
    return others.length === 0 ? first : Promise.all([first, ...others])
  }

  /** All who wait for the end of a doubt wait for the same read, so that they go on in the order in which they came. */
  #end(name: string): Promise<void> | undefined {
    if (!this.#open.has(name)) return undefined
    const known = this.#reading.get(name)
    if (known) return known
    const reading = this.#read(name).finally(() => this.#reading.delete(name))
    this.#reading.set(name, reading)
    return reading
  }

  /** Reads until no change has succeeded or failed meanwhile. */
  async #read(name: string): Promise<void> {
    for (let isOpen = true; isOpen; ) {
      const doubt = this.#open.get(name)
      const [stored] = await this.#store.queues([name])
      isOpen = this.#open.get(name) !== doubt
      if (isOpen) continue
      this.#open.delete(name)
      this.#learn(name, stored)
    }
  }
}
