import type { Clock } from './clock.ts'

/** Items that wait for their time, on one timer (a binary heap, soonest first). */
export class DueTimes<Item> {
  readonly #clock: Clock
  readonly #onDue: (item: Item) => void
  readonly #heap: { due: number; item: Item }[] = []
  #cancel: (() => void) | undefined

  /** @param onDue called for each item once its time has come */
  constructor(clock: Clock, onDue: (item: Item) => void) {
    this.#clock = clock
    this.#onDue = onDue
  }

  get size(): number {
    return this.#heap.length
  }

  /** Calls back for `item` after `ms`. */
  add(item: Item, ms: number): void {
    const entry = { due: this.#clock.monotonic() + ms, item }
    let at = this.#heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#at(parent).due <= entry.due) break
      this.#heap[at] = this.#at(parent)
      at = parent
    }
    this.#heap[at] = entry
    if (at === 0) this.#arm()
  }

  /** Forgets every item. */
  clear(): void {
    this.#heap.length = 0
    this.#cancel?.()
    this.#cancel = undefined
  }

  #arm(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const soonest = this.#heap[0]
    if (!soonest) return
    const wait = Math.max(0, Math.ceil(soonest.due - this.#clock.monotonic()))
    this.#cancel = this.#clock.after(wait, () => this.#fire())
  }

  #fire(): void {
    const now = this.#clock.monotonic()
    const due: Item[] = []
    for (let first = this.#heap[0]; first && first.due <= now; first = this.#heap[0]) {
      due.push(first.item)
      this.#removeFirst()
    }
    this.#arm()
    for (const item of due) this.#onDue(item)
  }

  #removeFirst(): void {
    const last = this.#heap.pop()
    if (!last || this.#heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= this.#heap.length) break
      if (child + 1 < this.#heap.length && this.#at(child + 1).due < this.#at(child).due) child += 1
      if (this.#at(child).due >= last.due) break
      this.#heap[at] = this.#at(child)
      at = child
    }
    this.#heap[at] = last
  }

  #at(index: number): { due: number; item: Item } {
    return this.#heap[index] as { due: number; item: Item }
  }
}
