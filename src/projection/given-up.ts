import type { Position } from '../kernel/position.ts'
import type { Discarded, ViewStore } from './contract.ts'
import { unlessDamaged } from './damage.ts'

/**
 * What operators gave up in the generation that serves, for whoever folds another one beside it. That takes a while, and
 * operators go on meanwhile: it is asked for anew before each step.
 */
export class GivenUp {
  readonly #read: readonly (() => Promise<readonly Discarded[]>)[]
  #last: (readonly Discarded[])[] = []
  #byPosition = new Map<Position, Discarded>()

  /** @param read for each part of the generation that serves; gives the same array while nothing was added */
  constructor(read: readonly ViewStore['discarded'][]) {
    this.#read = read
  }

  /** Learns what was given up by now. Rejects as the parts do. */
  async refresh(): Promise<void> {
    const found = await Promise.all(this.#read.map((read) => read()))
    if (found.every((one, index) => one === this.#last[index])) return
    this.#last = found
    this.#byPosition = new Map(found.flat().map((one) => [one.event.position, one]))
  }

  /** Who gave an event up, and why; undefined if nobody did. */
  at(position: Position): Discarded | undefined {
    return this.#byPosition.get(position)
  }
}

/** What operators have given up in a generation by now; nothing if it is damaged. */
export async function givenUpIn(view: ViewStore): Promise<ReadonlyMap<Position, Discarded>> {
  const { result = [] } = await unlessDamaged(() => view.discarded())
  return new Map(result.map((one) => [one.event.position, one]))
}
