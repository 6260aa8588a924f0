import { existsSync } from 'node:fs'
import { viewPath } from '../../config/paths.ts'
import type { ControlStore } from '../../control/contract.ts'
import { assertNotOlder } from '../../generations/coordinator.ts'
import type { App } from '../../kernel/app.ts'
import type { ProjectionDefinition } from '../../kernel/projection.ts'
import { unlessDamaged } from '../../projection/damage.ts'
import { lastSwapIn } from '../../projection/sqlite/later-swaps.ts'
import { readViewVersion } from '../../projection/sqlite/view-version.ts'
import { type ViewFile, viewFiles } from './view-files.ts'

/**
 * Makes every projection of the app known to the control store. A data folder may hold views that the control store
 * does not know, because the folder is from before there were generations, or because the store was lost. Then the
 * generation that took over last serves, with the version and the partitions that it has. It is the one that owes the
 * effects that are not sent yet; any other would send effects again that it has already sent.
 */
export async function adoptViews(app: App, data: string, control: ControlStore): Promise<void> {
  for (const projection of app.projections.values()) {
    if (!(await control.projection(projection.name))) {
      await control.adopt({ projection: projection.name, ...(await found(data, projection)) })
    }
  }
}

/** @throws CqrsError CQRS_VIEW_NEWER if a view is served in a later version than the app defines */
export async function assertCodeIsNotOlder(app: App, control: ControlStore): Promise<void> {
  for (const projection of app.projections.values()) {
    const state = await control.projection(projection.name)
    if (state) assertNotOlder(state, projection)
  }
}

/**
 * The generation that serves, with its version and partitions, as the files say; if there are no files, the first
 * generation as the app defines it.
 */
async function found(data: string, { name, version, partitions }: ProjectionDefinition) {
  const files = viewFiles(data, name)
  const swaps = new Map<ViewFile, number>()
  for (const file of files) {
    const { result: last = 0 } = await unlessDamaged(() => lastSwapIn(file.path, name))
    if (last > 0) swaps.set(file, last)
  }
  const [served] = [...swaps].toSorted(([, one], [, other]) => other - one)[0] ?? []
  const candidates = served
    ? [served]
    : [partitions, ...files.filter(({ generation }) => generation === 1).map(({ count }) => count)].map(
        (count) => ({
          generation: 1,
          count,
        }),
      )
  for (const { generation, count } of candidates) {
    const path = viewPath(data, name, { generation, partition: { index: 0, count } })
    if (existsSync(path))
      return { generation, version: (await versionOf(path, name)) ?? version, partitions: count }
  }
  return { generation: 1, version, partitions }
}

/** The version of a view; undefined if nobody has written it yet, or if it is damaged. */
async function versionOf(path: string, projection: string): Promise<number | undefined> {
  return (await unlessDamaged(() => readViewVersion(path, projection))).result
}
