import { isCqrsError } from '../../kernel/errors.ts'
import type { LeftOutLetters, LetterSource } from '../contract.ts'

const UNREADABLE = ['CQRS_ENGINE_UNREACHABLE', 'CQRS_STORE_CORRUPT', 'CQRS_VIEW_BEHIND'] as const

/** Collects what an answer about letters leaves out because it could not be read. */
export class LeftOut {
  readonly #places = new Map<string, LeftOutLetters>()

  /**
   * Answers what `ask` answers. If the worker is away or does not answer in time, or its store is damaged or of another
   * version than its code, this notes the place and answers undefined.
   *
   * @param name the queue, projection or partition that is asked; null if the source is asked for the names of all
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

  /** Whether anything was left out. */
  get some(): boolean {
    return this.#places.size > 0
  }

  /** The fields of the answer that tell what was left out. */
  told(): { unavailable: LetterSource[]; incomplete: LeftOutLetters[] } {
    const incomplete = [...this.#places.values()]
    return { unavailable: [...new Set(incomplete.map(({ source }) => source))], incomplete }
  }
}
