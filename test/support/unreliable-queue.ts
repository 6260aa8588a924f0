import { setTimeout as delay } from 'node:timers/promises'
import type { IIIClient } from 'iii-sdk'
import { between, seededRandom, shuffled } from './random.ts'

/** How often each fault happens to a message; several may happen to the same one. */
const FAULT = 0.3

/** The longest time that a message which is overtaken by others is held back, in milliseconds. */
const HOLD_MS = 300

interface Message {
  readonly function_id: string
  readonly data: unknown
}

/** What has happened so far. */
export interface Faults {
  messages: number
  lost: number
  doubled: number
  reordered: number
  kept: number
}

/**
 * A queue provider that acknowledges every message and then loses it, delivers it twice, lets others
 * overtake it, or keeps it for later, as a seed says. Answers of functions are of no interest to it.
 */
export class UnreliableQueue {
  readonly faults: Faults = { messages: 0, lost: 0, doubled: 0, reordered: 0, kept: 0 }
  readonly #worker: IIIClient
  readonly #random: () => number
  readonly #kept: Message[] = []
  readonly #underWay = new Set<Promise<void>>()

  /** @param worker becomes the provider of its engine */
  constructor(worker: IIIClient, seed: number) {
    this.#worker = worker
    this.#random = seededRandom(seed)
    worker.registerFunction('engine::queue::enqueue', async (message: Message) => this.#take(message))
    worker.registerFunction('queue::define', async ({ queue }: { queue: string }) => ({ queue }))
  }

  /** Resolves when all that was held back has been delivered, but for what is kept. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  /** Delivers what was kept, long after it was of any use, each message twice and in no order. */
  async deliverKept(): Promise<number> {
    const late = shuffled(this.#random, [...this.#kept, ...this.#kept])
    for (const message of late) await this.#deliver(message)
    return late.length
  }

  #take(message: Message): { ok: true } {
    this.faults.messages += 1
    if (this.#happens('kept')) this.#kept.push(message)
    if (this.#happens('lost')) return { ok: true }
    const copies = this.#happens('doubled') ? 2 : 1
    for (let copy = 0; copy < copies; copy += 1) {
      const hold = this.#happens('reordered') ? between(this.#random, 1, HOLD_MS) : 0
      const delivery = delay(hold)
        .then(() => this.#deliver(message))
        .finally(() => this.#underWay.delete(delivery))
      this.#underWay.add(delivery)
    }
    return { ok: true }
  }

  #happens(fault: Exclude<keyof Faults, 'messages'>): boolean {
    const happens = this.#random() < FAULT
    if (happens) this.faults[fault] += 1
    return happens
  }

  async #deliver({ function_id, data }: Message): Promise<void> {
    await this.#worker.trigger({ function_id, payload: data, timeoutMs: 5_000 }).catch(() => undefined)
  }
}
