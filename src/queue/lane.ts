import type { StoredMessage } from './contract.ts'
import { Fifo } from './fifo.ts'

/**
 * - `ready`: its head may be delivered (or its body is being loaded for that)
 * - `busy`: its head is in flight, or its outcome is being stored
 * - `waiting`: its head waits for the time of its next delivery
 * - `missing`: its head waits for its function to exist
 * - `dropped`: it is no longer in the window; timers and lists that still refer to it must ignore it
 */
export type LaneState = 'ready' | 'busy' | 'waiting' | 'missing' | 'dropped'

/**
 * Messages that must be delivered one after the other: those of one fifo group, or a single message of a
 * standard queue. Only the head is ever delivered, so nothing can overtake a retry.
 *
 * The first few messages are held whole; of the others only the seq is kept, eight bytes each.
 */
export class Lane {
  /** The fifo group; undefined for a lane of a single message. */
  readonly group: string | undefined
  state: LaneState = 'ready'
  /** The seq whose due time this lane has already waited for. */
  waitedFor = 0
  /** How many messages at the front are held whole. */
  held = 0
  readonly #entries = new Fifo<StoredMessage | number>()

  constructor(group: string | undefined) {
    this.group = group
  }

  get size(): number {
    return this.#entries.size
  }

  /** The first message, its seq alone if it is not held, undefined if the lane is empty. */
  get head(): StoredMessage | number | undefined {
    return this.#entries.at(0)
  }

  /**
   * Appends a message: whole if `whole` is true and every message before it is held whole, else only its seq. Returns
   * whether it is held whole.
   */
  append(message: StoredMessage, whole: boolean): boolean {
    const hold = whole && this.held === this.size
    this.#entries.push(hold ? message : message.seq)
    if (hold) this.held += 1
    return hold
  }

  /** Keeps only the seqs; returns the messages that were held whole. */
  release(): StoredMessage[] {
    const released: StoredMessage[] = []
    for (let index = 0; index < this.held; index += 1) {
      const message = this.#entries.at(index) as StoredMessage
      released.push(message)
      this.#entries.set(index, message.seq)
    }
    this.held = 0
    return released
  }

  /** The first `count` seqs of a lane that holds no message whole. */
  seqs(count: number): number[] {
    return Array.from({ length: Math.min(count, this.size) }, (_, index) => this.#entries.at(index) as number)
  }

  /** Puts a whole message in the place of the first seq behind the held messages; it must have that seq. */
  fill(message: StoredMessage): void {
    this.#entries.set(this.held, message)
    this.held += 1
  }

  /** Removes the first message; returns it, or its seq if it was not held whole. */
  shift(): StoredMessage | number | undefined {
    if (this.held > 0) this.held -= 1
    return this.#entries.shift()
  }

  /** Whether a message behind the head is older than the head: it was redriven while the head was in flight. */
  get isOutOfOrder(): boolean {
    return this.size > 1 && seqOf(this.#entries.at(1)) < seqOf(this.head)
  }

  /** Forgets everything behind the head; returns the messages that were held whole there. */
  keepHead(): StoredMessage[] {
    const head = this.head
    const behind: StoredMessage[] = []
    for (let index = 1; index < this.held; index += 1) behind.push(this.#entries.at(index) as StoredMessage)
    this.#entries.clear()
    if (head !== undefined) this.#entries.push(head)
    this.held = typeof head === 'object' ? 1 : 0
    return behind
  }
}

/** The seq of an entry of a lane; 0 for none. */
export function seqOf(entry: StoredMessage | number | undefined): number {
  return typeof entry === 'object' ? entry.seq : (entry ?? 0)
}
