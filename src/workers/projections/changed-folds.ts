import { hash } from 'node:crypto'
import type { Logger } from 'pino'
import { activeOf, type ControlStore } from '../../control/contract.ts'
import { fits } from '../../generations/place.ts'
import type { App } from '../../kernel/app.ts'
import type { ProjectionDefinition } from '../../kernel/projection.ts'

/**
 * Says it, once, when the code of a projection is another one than at the last start, but not its version: what the view
 * has applied by then stays as the earlier code made it, and only a verify would find that out. Compared is the text of
 * the code; a change in a function that it calls is not noticed.
 */
export async function tellOfChangedFolds(app: App, control: ControlStore, log: Logger): Promise<void> {
  for (const projection of app.projections.values()) {
    const { name, version } = projection
    const outcome = await control.noteFold(name, version, foldOf(projection))
    const active = activeOf(await control.projection(name))
    // Otherwise the view is rebuilt anyway, or this code will not work on it.
    if (outcome !== 'changed' || !active || !fits(active, projection)) continue
    log.warn(
      { projection: name, version },
      `The code of ${name} was changed, but not its version: what the view has applied so far stays as the earlier code made ` +
        `it. "cqrs verify ${name}" tells whether that differs. If it does, raise the version, or run "cqrs rebuild ${name}"`,
    )
  }
}

/**
 * A hash over what makes the documents of a view, as far as the text of the code shows it. Not over the events: a new
 * version of one, with an upcaster, is no reason to look at each view that has it.
 */
function foldOf({ kind, events, initial, sequence, handler }: ProjectionDefinition): string {
  const handlers = events.map(({ type }) => {
    const { key, apply } = handler(type) ?? {}
    return [type, String(key), String(apply)]
  })
  const fold = [kind, String(initial), String(sequence), handlers]
  return hash('sha256', JSON.stringify(fold))
}
