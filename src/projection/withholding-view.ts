import type { Position } from '../kernel/position.ts'
import type { CommitOutcome, NamedEffect, ViewChange, ViewStore } from './contract.ts'
import { positionOf } from './duty.ts'
import { ViewDecorator } from './view-decorator.ts'

/**
 * After this many withheld effects, up to {@link TIDIED} events are looked at, and effects settled elsewhere by now are
 * dropped.
 */
const TIDY_EVERY = 1_000

/**
 * How many events are looked at. It is more than were added since the last time, so that all get their turn, however
 * many there are.
 */
const TIDIED = 2 * TIDY_EVERY

/** Which of the given events another generation owes; `self` if it is this one that owes. */
export type Owing = (positions: readonly Position[]) => Promise<ReadonlySet<Position> | 'self'>

/**
 * A view of one of several generations. While it owes effects, it records them. While another generation owes them, it
 * withholds those that the other one still owes and skips the rest; see duty.ts.
 */
export class WithholdingView extends ViewDecorator {
  readonly #owing: Owing
  #sinceTidied = 0
  #tidiedUpTo = 0

  constructor(view: ViewStore, owing: Owing) {
    super(view)
    this.#owing = owing
  }

  override async commit(change: ViewChange): Promise<CommitOutcome> {
    if (change.effects.length === 0) return this.view.commit(change)
    const owed = await this.#owing(change.effects.map(positionOfEffect))
    if (owed === 'self') return this.view.commit(change)
    const withheld = change.effects.filter((effect) => owed.has(positionOfEffect(effect)))
    const outcome = await this.view.commit({ ...change, effects: [], withheld })
    this.#sinceTidied += withheld.length
    if (this.#sinceTidied >= TIDY_EVERY) await this.#tidy()
    return outcome
  }

  async #tidy(): Promise<void> {
    this.#sinceTidied = 0
    const withheld = await this.view.withheldAfter(this.#tidiedUpTo, TIDIED)
    this.#tidiedUpTo = withheld.length < TIDIED ? 0 : (withheld.at(-1) as Position)
    const owed = await this.#owing(withheld)
    if (owed === 'self') return
    await this.view.dropWithheld(withheld.filter((position) => !owed.has(position)))
  }
}

function positionOfEffect({ idempotencyKey }: NamedEffect): Position {
  return positionOf(idempotencyKey)
}
