/** First in, first out, at constant cost per item. */
export class Fifo<Item> {
  #items: (Item | undefined)[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: Item): void {
    this.#items.push(item)
  }

  /** The item at `index`, counted from the oldest. */
  at(index: number): Item | undefined {
    return this.#items[this.#head + index]
  }

  /** Replaces the item at `index`, which must exist. */
  set(index: number, item: Item): void {
    this.#items[this.#head + index] = item
  }

  shift(): Item | undefined {
    if (this.size === 0) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head] = undefined
    this.#head += 1
    if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  clear(): void {
    this.#items = []
    this.#head = 0
  }
}
