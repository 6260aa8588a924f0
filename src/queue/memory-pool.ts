/** How much of a queue, or of all queues, is in memory. */
export interface Holding {
  /** Messages held whole. */
  messages: number
  /** Characters of their data. */
  bytes: number
  /** Messages known at least by their seq, including those held whole. */
  tracked: number
}

const KINDS = ['messages', 'bytes', 'tracked'] as const

/** How much the queues of a process hold in memory together before each is limited to an equal share. */
export const POOL_LIMITS: Holding = {
  messages: 50_000,
  bytes: 128 * 1024 * 1024,
  tracked: 500_000,
}

/**
 * The memory that the queues of a process share. While there is room, each queue may hold up to its own limit. When
 * there is none, each may hold an equal share of the whole, as long as all together hold less than twice the limits.
 * Each queue may always hold one message, whatever the others hold, so that it makes progress.
 */
export class MemoryPool {
  readonly limits: Holding
  readonly used: Holding = { messages: 0, bytes: 0, tracked: 0 }
  readonly #shares = new Set<Share>()
  /** The queues that found no room, each with its callback. */
  readonly #waiting = new Map<Share, () => void>()
  #isWaking = false

  constructor(limits: Partial<Holding> = {}) {
    this.limits = { ...POOL_LIMITS, ...limits }
  }

  /** How much more a queue may hold that holds `held` already. */
  room(what: keyof Holding, held: number): number {
    const free = this.limits[what] - this.used[what]
    const equalPart = Math.floor(this.limits[what] / this.#shares.size) - held
    return Math.max(free, Math.min(equalPart, free + this.limits[what]), 1 - held)
  }

  /** @param limits the most that one queue may hold, whatever room there is */
  join(limits: Holding): Share {
    const share: Share = new Share(this, limits, () => {
      this.#shares.delete(share)
      this.#waiting.delete(share)
    })
    this.#shares.add(share)
    return share
  }

  /** Counts what is held now, or, if it is negative, no more. */
  count(what: keyof Holding, amount: number): void {
    this.used[what] += amount
    if (amount >= 0 || this.#isWaking || this.#waiting.size === 0) return
    this.#isWaking = true
    setImmediate(() => {
      this.#isWaking = false
      const waiting = [...this.#waiting.values()]
      this.#waiting.clear()
      for (const onRoom of waiting) onRoom()
    })
  }

  /** Calls `onRoom` once when some memory was given back; it may not be enough. */
  wait(share: Share, onRoom: () => void): void {
    this.#waiting.set(share, onRoom)
  }
}

/** What one queue holds of a {@link MemoryPool}. */
export class Share {
  readonly held: Holding = { messages: 0, bytes: 0, tracked: 0 }
  readonly #pool: MemoryPool
  readonly #limits: Holding
  readonly #onLeave: () => void
  #hasLeft = false

  constructor(pool: MemoryPool, limits: Holding, onLeave: () => void) {
    this.#pool = pool
    this.#limits = limits
    this.#onLeave = onLeave
  }

  /** Counts what is held now, or, if it is negative, no more. */
  add(what: keyof Holding, amount: number): void {
    if (this.#hasLeft) return
    this.held[what] += amount
    this.#pool.count(what, amount)
  }

  /**
   * Reserves room for what is being read, so that other queues do not take it meanwhile.
   *
   * @returns a function to call when the read has ended
   */
  reserve(wanted: Partial<Holding>): () => void {
    const amounts = Object.entries(wanted) as [keyof Holding, number][]
    for (const [what, amount] of amounts) this.#pool.count(what, amount)
    return () => {
      for (const [what, amount] of amounts) this.#pool.count(what, -amount)
    }
  }

  /** How much this queue may hold at the moment. */
  most(what: keyof Holding): number {
    const held = this.held[what]
    return Math.min(this.#limits[what], held + this.#pool.room(what, held))
  }

  /**
   * For a queue that wants to hold more: if the other queues, and not its own limit, prevent that, calls `onRoom` once
   * when memory was given back.
   */
  wait(onRoom: () => void): void {
    const isSqueezed = KINDS.some((what) => this.most(what) < this.#limits[what])
    if (isSqueezed && !this.#hasLeft) this.#pool.wait(this, onRoom)
  }

  /** Gives everything back. */
  leave(): void {
    for (const what of KINDS) this.add(what, -this.held[what])
    this.#hasLeft = true
    this.#onLeave()
  }
}
