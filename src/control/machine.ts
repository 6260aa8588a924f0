/**
 * The states of a generation of a view.
 *
 * A generation begins as `building`: it is folded from the first event on, while another one serves. A part of it
 * **leads** if it is at least as far as the same part of the serving generation and is advanced before it from then on.
 * When every part leads, the generation is `ready` and is compared with the serving one. What it was built for decides
 * what comes next:
 *
 * - to **serve**: it becomes `active`. In the same transaction the one that was `active` becomes `previous`, and the
 *   one that was `previous` becomes `retired`. A reader always finds exactly one active generation.
 * - to **verify**: it becomes `verified`; its report stays, its files are removed.
 * - to **inspect**: it never leads. At the requested position it becomes `side`. From there only `pruning` is possible,
 *   so it cannot be swapped in by accident.
 *
 * A `previous` generation is kept up to date for a rollback. `returning` records the request for one; when every part
 * leads, the generation is `active` again. A `retired` generation is not kept up to date.
 *
 * `cancelling` and `pruning` are requests, too: the owner of each part closes it and removes its files. When all parts
 * are gone, the generation is gone. `failed` keeps its files, so that one can look at what was refused.
 *
 * A `ready` generation goes back to `building`
 *
 * - if the active one has to be advanced by a process that cannot advance both. This is a process of other code, which
 *   takes over because the one that was building has died;
 * - if the `ready` one cannot be advanced itself at the moment;
 * - if another one is swapped in: it then has to lead that one, and be compared with it.
 *
 * If the file of a generation that is being built is damaged, it becomes `failed`; one that was `returning` becomes
 * `previous` again.
 *
 * Requests are states, because then they survive the death of any process, and the same request made twice counts once.
 */
export type GenerationState =
  | 'building'
  | 'ready'
  | 'active'
  | 'previous'
  | 'returning'
  | 'retired'
  | 'verified'
  | 'side'
  | 'failed'
  | 'cancelling'
  | 'pruning'

/** What a generation is built for. */
export type Purpose = 'serve' | 'verify' | 'inspect'

/**
 * All allowed moves: each state, and the states from which it can be reached. A generation leaves `active` only when a
 * swap puts another one there. So if somebody cancels a rollback at the moment in which it completes, readers are not
 * left without an active generation.
 */
const FROM: Readonly<Record<GenerationState, readonly GenerationState[]>> = {
  building: ['ready'],
  ready: ['building'],
  active: ['ready', 'returning'],
  previous: ['returning'],
  returning: ['previous'],
  retired: ['previous', 'returning'],
  verified: ['ready'],
  side: ['building'],
  failed: ['building', 'ready'],
  cancelling: ['building', 'ready'],
  pruning: ['previous', 'retired', 'verified', 'side', 'failed'],
}

/**
 * The states from which `to` can be reached in one move.
 *
 * @param forced allows `returning` for a generation that is `returning` already: a waiting rollback is forced in place,
 *   since with two moves the request could be lost in between
 */
export function statesBefore(to: GenerationState, forced = false): readonly GenerationState[] {
  return to === 'returning' && forced ? [...FROM[to], to] : FROM[to]
}

/** Whether a generation is being built. */
export function isUnderWay(state: GenerationState): boolean {
  return state === 'building' || state === 'ready'
}

/** Whether a generation is going to replace the active one, or to be compared with it. Such a generation may lead. */
export function isComing(state: GenerationState): boolean {
  return isUnderWay(state) || state === 'returning'
}

/** Whether the files of a generation are not needed any more: the owner of each part removes them. */
export function losesItsFiles(state: GenerationState): boolean {
  return state === 'cancelling' || state === 'pruning' || state === 'verified'
}
