/**
 * What a generation of a view is.
 *
 * A generation begins as `building`: it is folded from the first event on, while another one serves. When
 * every part of it **leads**, i.e. is at least as far as the same part of the serving one and is moved before
 * it from then on, it is `ready` and is compared with the serving one. What it was built for decides what comes
 * next:
 *
 * - to **serve**: it becomes `active`, and in the same transaction the one that was `active` becomes `previous`
 *   and the one that was `previous` becomes `retired`. A reader finds one active generation, always.
 * - to **verify**: it becomes `verified`; its report stays, its files go.
 * - to **inspect**: it never leads. At the position it was asked for it becomes `side`, and nothing but
 *   `pruning` leads away from there, so it cannot be swapped by accident.
 *
 * A `previous` generation is kept up to date for a rollback: `returning` is that wish, and when every part of
 * it leads it is `active` again. A `retired` one is not kept up to date.
 *
 * `cancelling` and `pruning` are wishes, too: whoever owns a part closes it and removes its files; when
 * all parts are gone the generation is gone. `failed` keeps its files, so that one can look at what was refused.
 *
 * A generation that is `ready` is `building` again if the active one has to be moved by a process that cannot move both:
 * one of other code, which takes over because the one that was building has died; if it cannot be moved itself at the
 * moment; or if another one is swapped in, beside which it has to lead and with which it has to be compared. If its file is damaged it is `failed`, and one that was to return is `previous` again.
 *
 * Wishes are states because then they survive whatever dies, and two who wish the same thing wish it once.
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
 * The one table of moves: a state, and those from which it can be reached. Nothing leads away from `active` but the swap that
 * puts another one there: who cancels a rollback in the moment in which it is done must not leave readers without any.
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
 * @param forced a rollback that waits is forced where it is: between two moves its wish could be lost
 */
export function statesBefore(to: GenerationState, forced = false): readonly GenerationState[] {
  return to === 'returning' && forced ? [...FROM[to], to] : FROM[to]
}

/** Whether a generation is being made. */
export function isUnderWay(state: GenerationState): boolean {
  return state === 'building' || state === 'ready'
}

/** Whether a generation is on its way to the place of the active one, or to a comparison with it: it may lead. */
export function isComing(state: GenerationState): boolean {
  return isUnderWay(state) || state === 'returning'
}
