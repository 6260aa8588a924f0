/** What is in memory of a queue, or of all of them. */
export interface Holding {
  /** Messages held whole. */
  messages: number
  /** Characters of their data. */
  bytes: number
  /** Messages known, those that are held among them. */
  tracked: number
}

const KINDS = ['messages', 'bytes', 'tracked'] as const

/** How much of all queues of a process together is in memory, before each may have an equal part only. */
export const POOL_LIMITS: Holding = {
  messages: 50_000,
  bytes: 128 * 1024 * 1024,
  tracked: 500_000,
}

/**
 * The memory that the queues of a process share. While there is room, each takes up to a limit of its own. When there is none,
 * each may have an equal part of the whole, until that makes twice the limits; and one message it may have whatever the others
 * hold, so that it gets on.
 */
export class MemoryPool {
  readonly limits: Holding
  readonly used: Holding = { messages: 0, bytes: 0, tracked: 0 }
  readonly #shares = new Set<Share>()
  /** Those that found no room. */
  readonly #waiting = new Map<Share, () => void>()
  #isWaking = false

  constructor(limits: Partial<Holding> = {}) {
    this.limits = { ...POOL_LIMITS, ...limits }
  }

  /** How much more may be held by one that holds so much already. */
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

  /** Calls once when others have given something back, which need not be enough. */
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

  /** Keeps room for what is being read, which others must not take meanwhile. @returns to be called when it was read */
  reserve(wanted: Partial<Holding>): () => void {
    const amounts = Object.entries(wanted) as [keyof Holding, number][]
    for (const [what, amount] of amounts) this.#pool.count(what, amount)
    return () => {
      for (const [what, amount] of amounts) this.#pool.count(what, -amount)
    }
  }

  /** How much it may hold at the moment. */
  most(what: keyof Holding): number {
    const held = this.held[what]
    return Math.min(this.#limits[what], held + this.#pool.room(what, held))
  }

  /** It would hold more: calls once when it may be able to, if it is others who keep it from that. */
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
