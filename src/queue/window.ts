import type { QueueStore, StoredMessage } from './contract.ts'
import { Fifo } from './fifo.ts'
import { Lane, seqOf } from './lane.ts'
import type { Holding, MemoryPool, Share } from './memory-pool.ts'

/**
 * The most of one queue that is kept in memory, if the pool of all queues has room. By default 1,000 whole messages, 16
 * Mi characters of data, and 100,000 tracked messages. Tracked messages that are not held whole are known by their seq
 * only, because they wait or are behind others of their group.
 */
export interface WindowLimits extends Holding {
  /** Messages of one group held whole. Default 16. */
  perGroup: number
}

export const WINDOW_LIMITS: WindowLimits = {
  messages: 1_000,
  bytes: 16 * 1024 * 1024,
  tracked: 100_000,
  perGroup: 16,
}

interface WindowOptions {
  queue: string
  store: Pick<QueueStore, 'read' | 'load'>
  limits: WindowLimits
  pool: MemoryPool
  /** Called when lanes have become ready. */
  onReady: () => void
  /** Called when the store could not be read; calling {@link Window.refill} tries again. */
  onError: (error: unknown) => void
}

/**
 * The part of a queue that is in memory: a bounded window that mirrors the store. It covers every message up
 * to `cursor`; what is newer is read in pages when there is room. A message that is enqueued while the
 * window reaches up to the tail goes straight into it and is never read back.
 *
 * Covered messages are in lanes. Those of a blocked lane are kept by their seq alone, so that a poisoned
 * group neither fills the window nor stops the cursor (until `tracked` of them are known).
 */
export class Window {
  readonly #options: WindowOptions
  readonly #perGroup: number
  readonly #share: Share
  /** Every message up to here is in a lane, or finished. */
  #cursor = 0
  #tail = 0
  /** There may be messages that no read has looked for: nothing was read yet, or not since {@link lookAgain}. */
  #unread = true
  /** Counts calls of {@link lookAgain}. A read that began before such a call may lack the messages that it is about. */
  #looks = 0
  #lanes = new Set<Lane>()
  #groups = new Map<string, Lane>()
  #ready = new Fifo<Lane>()
  /** Ready lanes whose head has to be loaded first. */
  #bare: Lane[] = []
  /** Seqs of messages that were delivered but have not finished. After a rewind, a read must not bring them again. */
  readonly #claimed = new Set<number>()
  /** Seqs of messages that finished while a read was under way; its page may still contain them. */
  readonly #finished = new Set<number>()
  #reading = false
  /** Counts rewinds, so that what was read before one is not used after it. */
  #epoch = 0

  constructor(options: WindowOptions) {
    this.#options = options
    this.#perGroup = options.limits.perGroup
    this.#share = options.pool.join(options.limits)
  }

  /** Messages held whole and messages known, for tests and operators. */
  get size(): { held: number; tracked: number } {
    const { messages: held, tracked } = this.#share.held
    return { held, tracked }
  }

  /** Nothing is delivered any more: gives the memory back to the other queues. */
  leave(): void {
    this.#share.leave()
  }

  /** A message was stored. */
  accepted(message: StoredMessage): void {
    this.#tail = Math.max(this.#tail, message.seq)
    if (this.#reading || message.seq !== this.#cursor + 1 || !this.#hasRoom()) return
    this.#cursor = message.seq
    this.#track(message)
  }

  /** There may be messages after the cursor that were not reported by {@link accepted}. */
  lookAgain(): void {
    this.#looks += 1
    this.#unread = true
  }

  /** Takes the next lane whose head can be delivered. */
  next(): (Lane & { head: StoredMessage }) | undefined {
    for (let lane = this.#ready.shift(); lane; lane = this.#ready.shift()) {
      if (lane.state !== 'ready') continue
      if (typeof lane.head === 'object') return lane as Lane & { head: StoredMessage }
      this.#bare.push(lane)
    }
    return undefined
  }

  /** The head of `lane` is being delivered. */
  deliver(lane: Lane): void {
    lane.state = 'busy'
    this.#claimed.add(seqOf(lane.head))
  }

  /**
   * The head of `lane` cannot be delivered for now. If older messages of its group have come back behind it, or may
   * have come back but were not read yet, the window is rewound, which builds the lane again in order.
   */
  block(lane: Lane, state: 'waiting' | 'missing'): void {
    lane.state = state
    if (lane.isOutOfOrder || this.#isAhead(lane)) {
      this.rewind()
      return
    }
    for (const message of lane.release()) this.#letGo(message)
  }

  /** The head of `lane` may be delivered (again). */
  unblock(lane: Lane): void {
    lane.state = 'ready'
    this.#ready.push(lane)
  }

  /**
   * The head of `lane` has to be delivered again. It is loaded from the store first, since it may have been purged
   * meanwhile.
   */
  resend(lane: Lane): void {
    for (const message of lane.release()) this.#letGo(message)
    this.unblock(lane)
  }

  /** The head of `lane` is no longer in the queue: it was acknowledged, or given up. */
  finish(lane: Lane): void {
    if (this.#reading) this.#finished.add(seqOf(lane.head))
    this.#removeHead(lane)
    if (lane.size > 0) this.unblock(lane)
  }

  /** Starts over from the front of the queue, because older messages have come back. Keeps what is in flight. */
  rewind(): void {
    this.#epoch += 1
    this.#cursor = 0
    this.#unread = true
    const busy: Lane[] = []
    for (const lane of this.#lanes) {
      if (lane.state === 'busy') {
        for (const message of lane.keepHead()) this.#letGo(message)
        busy.push(lane)
      } else {
        for (const message of lane.release()) this.#letGo(message)
        this.#claimed.delete(seqOf(lane.head))
        lane.state = 'dropped'
      }
    }
    this.#ready.clear()
    this.#bare = []
    this.#lanes = new Set(busy)
    this.#groups = new Map(busy.flatMap((lane) => (lane.group === undefined ? [] : [[lane.group, lane]])))
    this.#share.add('tracked', busy.length - this.#share.held.tracked)
    this.#options.onReady()
  }

  /**
   * Reads more if there is room: first the heads of ready lanes that are not in memory, then the next page.
   *
   * @param isIdle whether more could be delivered: then, if there is no room, it goes on once other queues have made
   *   some
   */
  refill(isIdle: boolean): void {
    if (this.#reading) return
    const hasRoom = this.#room('messages') > 0 && this.#room('bytes') > 0
    const isBehind = this.#unread || this.#cursor < this.#tail
    if (this.#bare.length > 0 && hasRoom) this.#run(() => this.#load())
    else if (isBehind && this.#isLow()) this.#run(() => this.#read())
    else if (isIdle && (isBehind || this.#bare.length > 0)) this.#share.wait(this.#options.onReady)
  }

  #run(read: () => Promise<void>): void {
    this.#reading = true
    read()
      .then(
        () => true,
        (error) => {
          this.#options.onError(error)
          return false
        },
      )
      .then((went) => {
        this.#reading = false
        this.#finished.clear()
        if (went) this.#options.onReady()
      })
  }

  async #read(): Promise<void> {
    const { store, queue } = this.#options
    const [epoch, looks] = [this.#epoch, this.#looks]
    const room = Math.min(this.#room('messages'), Math.max(1, this.#room('tracked')))
    const bytes = this.#room('bytes')
    const release = this.#share.reserve({ messages: room, bytes, tracked: room })
    const page = await store.read(queue, this.#cursor, room, bytes).finally(release)
    if (epoch !== this.#epoch) return
    for (const message of page.messages) {
      if (!this.#claimed.has(message.seq) && !this.#finished.has(message.seq)) this.#track(message)
    }
    this.#cursor = Math.max(this.#cursor, page.end)
    this.#tail = Math.max(this.#tail, page.tail)
    if (looks === this.#looks) this.#unread = false
  }

  async #load(): Promise<void> {
    const { store, queue } = this.#options
    const epoch = this.#epoch
    const maxBytes = this.#room('bytes')
    const lanes = this.#bare.splice(0, this.#room('messages'))
    const each = Math.max(
      1,
      Math.min(this.#perGroup, Math.floor(this.#share.most('messages') / lanes.length)),
    )
    const wanted = lanes.map((lane) => lane.seqs(each))
    let messages: StoredMessage[]
    const release = this.#share.reserve({ messages: wanted.flat().length, bytes: maxBytes })
    try {
      messages = await store.load(queue, wanted.flat(), maxBytes).finally(release)
    } catch (error) {
      // Lanes that a rewind dropped meanwhile must not come back: their groups have other lanes now.
      if (epoch === this.#epoch) this.#bare.push(...lanes)
      throw error
    }
    if (epoch !== this.#epoch) return
    const bytes = messages.reduce((sum, { data }) => sum + data.length, 0)
    const found = new Map(messages.map((message) => [message.seq, message]))
    lanes.forEach((lane, index) => {
      for (const seq of wanted[index] ?? []) {
        const message = found.get(seq)
        if (message) this.#hold(lane, message)
        else if (bytes >= maxBytes || lane.held > 0) break
        else this.#removeHead(lane)
      }
      if (lane.size > 0) this.#ready.push(lane)
    })
  }

  #track(message: StoredMessage): void {
    const lane = this.#laneOf(message.group)
    const whole = (lane.state === 'ready' || lane.state === 'busy') && lane.held < this.#perGroup
    this.#share.add('tracked', 1)
    if (lane.append(message, whole)) this.#count(message)
    if (lane.size === 1) this.#ready.push(lane)
  }

  #laneOf(group: string | undefined): Lane {
    const known = group === undefined ? undefined : this.#groups.get(group)
    if (known) return known
    const lane = new Lane(group)
    this.#lanes.add(lane)
    if (group !== undefined) this.#groups.set(group, lane)
    return lane
  }

  /** Whether a rewind has kept this group's head while the messages before it have not been read again yet. */
  #isAhead(lane: Lane): boolean {
    return lane.group !== undefined && this.#cursor < seqOf(lane.head)
  }

  #removeHead(lane: Lane): void {
    const head = lane.shift()
    this.#claimed.delete(seqOf(head))
    this.#share.add('tracked', -1)
    if (typeof head === 'object') this.#letGo(head)
    if (lane.size > 0) return
    lane.state = 'dropped'
    this.#lanes.delete(lane)
    if (lane.group !== undefined) this.#groups.delete(lane.group)
  }

  #hold(lane: Lane, message: StoredMessage): void {
    lane.fill(message)
    this.#count(message)
  }

  #count(message: StoredMessage): void {
    this.#share.add('messages', 1)
    this.#share.add('bytes', message.data.length)
  }

  #letGo(message: StoredMessage): void {
    this.#share.add('messages', -1)
    this.#share.add('bytes', -message.data.length)
  }

  #hasRoom(): boolean {
    return this.#room('messages') > 0 && this.#room('bytes') > 0 && this.#room('tracked') > 0
  }

  #isLow(): boolean {
    const { held } = this.#share
    const isHalfEmpty = (what: 'messages' | 'bytes') => held[what] * 2 <= this.#share.most(what)
    return isHalfEmpty('messages') && isHalfEmpty('bytes') && this.#room('tracked') > 0
  }

  /** How much more this queue may hold. */
  #room(what: keyof Holding): number {
    return this.#share.most(what) - this.#share.held[what]
  }
}
