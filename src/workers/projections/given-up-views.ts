import { existsSync, readdirSync } from 'node:fs'
import type { Logger } from 'pino'
import { dataPaths, viewPath } from '../../config/paths.ts'
import { activeOf, type ControlStore } from '../../control/contract.ts'
import type { App } from '../../kernel/app.ts'
import { defineProjection } from '../../kernel/projection.ts'
import { unlessDamaged } from '../../projection/damage.ts'
import { openSqliteViewReader } from '../../projection/sqlite/view-reader.ts'

/** A view in the data folder whose projection or reactor the app does not define (any more). */
export interface GivenUpView {
  readonly projection: string
  /** Events that failed, and those that wait behind them. */
  readonly parked: number
  /** Effects that were recorded and not sent. Nobody sends them. */
  readonly effects: { readonly pending: number; readonly dead: number }
}

/**
 * The views that nobody works on because the app does not define them, by the names of their files. What is parked, and
 * what was to be sent, is that of the generation that served last; a damaged part counts nothing.
 *
 * @throws CqrsError CQRS_STORE_…
 */
export async function givenUpViews(app: App, data: string, control: ControlStore): Promise<GivenUpView[]> {
  const folder = dataPaths(data).views
  const files = existsSync(folder) ? readdirSync(folder) : []
  const names = files.flatMap((file) => /^([a-z][a-z0-9-]*)\.\d+(?:\.\d+of\d+)?\.db$/.exec(file)?.[1] ?? [])
  const unknown = [...new Set(names)].filter((name) => !app.projections.has(name)).toSorted()
  return Promise.all(unknown.map((name) => whatIsLeft(name, data, control)))
}

async function whatIsLeft(projection: string, data: string, control: ControlStore): Promise<GivenUpView> {
  const left = { parked: 0, pending: 0, dead: 0 }
  const active = activeOf(await control.projection(projection))
  const definition = defineProjection({ name: projection, events: [], initial: () => ({}) }).on({})
  for (let index = 0; active && index < active.partitions; index += 1) {
    const partition = { index, count: active.partitions }
    const path = viewPath(data, projection, { generation: active.generation, partition })
    const { result } = await unlessDamaged(async () => {
      const view = openSqliteViewReader(path, definition)
      return view.standing().finally(() => view.close())
    })
    if (!result) continue
    const { parked, effects } = result
    left.parked += parked.retrying + parked.dead + parked.waiting
    left.pending += effects.pending
    left.dead += effects.dead
  }
  const { parked, ...effects } = left
  return { projection, parked, effects }
}

/** What was given up with a view, and what to do, as a text for people. */
export function whatWasGivenUp({ projection, parked, effects: { pending, dead } }: GivenUpView): string {
  const lost = [
    ...(pending + dead > 0 ? [`effects that nobody sends now (${pending} pending, ${dead} dead)`] : []),
    ...(parked > 0 ? [`parked events (${parked})`] : []),
  ].join(' and ')
  return (
    `The app does not define ${projection}, but the data folder has its view${lost && ` with ${lost}`}. If it was removed or renamed ` +
    'by mistake, define it again under this name: it goes on where it stopped. See docs/evolve.md, "A projection or reactor is removed"'
  )
}

/** Logs what was given up with the views that the app does not define; as a warning if something was left undone. */
export async function tellOfGivenUpViews(
  app: App,
  data: string,
  control: ControlStore,
  log: Logger,
): Promise<void> {
  for (const view of await givenUpViews(app, data, control)) {
    const { projection, parked, effects } = view
    const level = parked + effects.pending + effects.dead > 0 ? 'warn' : 'info'
    log[level]({ projection, parked, effects }, whatWasGivenUp(view))
  }
}
