/** A digest as four unsigned 32-bit numbers in a row. */
export const DIGEST_WORDS = 4

/**
 * A set of 128-bit digests in one flat array: open addressing with linear probing, no deletion, 16 bytes
 * a slot, two slots or more for each digest.
 */
export class DigestSet {
  readonly #capacity: number
  readonly #slots: Uint32Array
  readonly #mask: number
  #size = 0

  /** @param capacity how many digests it takes */
  constructor(capacity: number) {
    this.#capacity = capacity
    const slots = 2 ** Math.ceil(Math.log2(capacity * 2))
    this.#slots = new Uint32Array(slots * DIGEST_WORDS)
    this.#mask = slots - 1
  }

  get isFull(): boolean {
    return this.#size >= this.#capacity
  }

  /** Whether the digest at `offset` of `words` is in the set. */
  has(words: Uint32Array, offset: number): boolean {
    return this.#slots[this.#find(words, offset)] !== 0
  }

  /** Adds the digest at `offset` of `words`. The set must not be full. */
  add(words: Uint32Array, offset: number): void {
    const at = this.#find(words, offset)
    if (this.#slots[at] !== 0) return
    for (let word = 0; word < DIGEST_WORDS; word += 1) this.#slots[at + word] = words[offset + word] as number
    this.#size += 1
  }

  clear(): void {
    this.#slots.fill(0)
    this.#size = 0
  }

  /** Where the digest is, or the free slot where it would be. A first word of 0 marks a free slot. */
  #find(words: Uint32Array, offset: number): number {
    const slots = this.#slots
    for (let slot = (words[offset + 1] as number) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = slot * DIGEST_WORDS
      if (slots[at] === 0) return at
      if (
        slots[at] === words[offset] &&
        slots[at + 1] === words[offset + 1] &&
        slots[at + 2] === words[offset + 2] &&
        slots[at + 3] === words[offset + 3]
      ) {
        return at
      }
    }
  }
}
