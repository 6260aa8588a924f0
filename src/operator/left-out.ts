import { isCqrsError } from '../kernel/errors.ts'
import type { LeftOutLetters, LetterSource } from './contract.ts'

const UNREADABLE = ['CQRS_ENGINE_UNREACHABLE', 'CQRS_STORE_CORRUPT', 'CQRS_VIEW_BEHIND'] as const

/** What an answer about letters lacks, because somebody could not be asked. */
export class LeftOut {
  readonly #places = new Map<string, LeftOutLetters>()

  /**
   * What `ask` gives; nothing, and that is noted, if the worker is away or does not answer in time, or if its store is damaged
   * or of another version than its code.
   *
   * @param name the queue or unit that is asked; null if the source is asked which it has
   */
  async unless<Result>(
    source: LetterSource,
    name: string | null,
    ask: () => Promise<Result>,
  ): Promise<Result | undefined> {
    try {
      return await ask()
    } catch (error) {
      if (!isCqrsError(error, ...UNREADABLE)) throw error
      this.#places.set(`${source}:${name}`, { source, name, error: error.message })
      return undefined
    }
  }

  /** Whether an answer lacks anything. */
  get some(): boolean {
    return this.#places.size > 0
  }

  /** The part of an answer that says so. */
  told(): { unavailable: LetterSource[]; incomplete: LeftOutLetters[] } {
    const incomplete = [...this.#places.values()]
    return { unavailable: [...new Set(incomplete.map(({ source }) => source))], incomplete }
  }
}
