import type { ViewStore } from './contract.ts'

/**
 * Tells which sequences have to wait because an earlier event of theirs is parked. There may be millions of them, so
 * they are not kept in memory: for the events of a batch, they are looked up in the view. As long as nothing is parked,
 * this costs nothing.
 */
export class BlockedSequences {
  readonly #view: Pick<ViewStore, 'hasParked' | 'parkedSequences'>
  #mayBeAny = true

  constructor(view: Pick<ViewStore, 'hasParked' | 'parkedSequences'>) {
    this.#view = view
  }

  /**
   * Which of `sequences` have to wait. If another writer parks or settles an event meanwhile, a change that is based on
   * the answer is not committed.
   */
  async among(sequences: readonly string[]): Promise<Set<string>> {
    if (!this.#mayBeAny) return new Set()
    this.#mayBeAny = await this.#view.hasParked()
    return this.#mayBeAny ? this.#view.parkedSequences(sequences) : new Set()
  }

  /** Says that something is parked now, or may be. */
  mayBeMore(): void {
    this.#mayBeAny = true
  }
}
