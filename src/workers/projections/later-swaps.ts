import { existsSync } from 'node:fs'
import type { Logger } from 'pino'
import type { ControlStore } from '../../control/contract.ts'
import { placesOf } from '../../generations/place.ts'
import type { App } from '../../kernel/app.ts'
import { unlessDamaged } from '../../projection/damage.ts'
import { forgetSwapsAfter, lastSwapIn } from '../../projection/sqlite/later-swaps.ts'
import { placePath } from './view-storage.ts'

/**
 * Makes the parts of all views forget swaps that the control store does not know. A part stores the number of the last
 * swap at which it took over effects, so that it does not do so twice. After an older copy of the control store was put
 * back, the same numbers are given again. A part would then take a new swap for one that is done, and effects that the
 * previous generation has recorded and not sent would stay there. Call it at a start.
 *
 * @throws CqrsError CQRS_STORE_… if a file cannot be read or written; a damaged file is left alone
 */
export async function forgetLaterSwaps(
  app: App,
  data: string,
  control: ControlStore,
  log: Logger,
): Promise<void> {
  for (const projection of app.projections.values()) {
    const { name } = projection
    const generations = (await control.projection(name))?.generations ?? []
    for (const place of generations.flatMap((generation) => placesOf(generation, projection))) {
      const path = placePath(data, place)
      if (!existsSync(path)) continue
      const { result: last = 0 } = await unlessDamaged(() => lastSwapIn(path, name))
      // The part is read before the control store. If another process swaps in between, the control store knows the
      // swap before a part takes anything over.
      const swaps = (await control.projection(name))?.swaps ?? 0
      if (last <= swaps) continue
      await unlessDamaged(() => forgetSwapsAfter(path, name, swaps))
      log.warn(
        { projection: name, generation: place.generation, file: path, last, swaps },
        'control.db is older than this view, which has taken part in later swaps; the count of swaps continues from the one ' +
          'in control.db. Unsent effects of a generation that is not active now will not be sent: if that matters, stop ' +
          'the system and put back control.db and the views from the same moment',
      )
    }
  }
}
