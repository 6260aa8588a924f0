import type { ViewStore } from './contract.ts'

/**
 * Which sequences have to wait, because an earlier event of theirs is parked. There may be millions, so they are looked up in
 * the view for the events of a batch. As long as nothing is parked that costs nothing.
 */
export class BlockedSequences {
  readonly #view: Pick<ViewStore, 'hasParked' | 'parkedSequences'>
  #mayBeAny = true

  constructor(view: Pick<ViewStore, 'hasParked' | 'parkedSequences'>) {
    this.#view = view
  }

  /** If another writer parks or settles an event meanwhile, what is made of the answer is not committed. */
  async among(sequences: readonly string[]): Promise<Set<string>> {
    if (!this.#mayBeAny) return new Set()
    this.#mayBeAny = await this.#view.hasParked()
    return this.#mayBeAny ? this.#view.parkedSequences(sequences) : new Set()
  }

  /** Something is parked now, or may be. */
  mayBeMore(): void {
    this.#mayBeAny = true
  }
}
