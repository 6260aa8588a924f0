import { existsSync, readdirSync } from 'node:fs'
import { dataPaths, viewPath } from '../config/paths.ts'
import type { ControlStore } from '../control/contract.ts'
import { assertNotOlder } from '../generations/coordinator.ts'
import type { App } from '../kernel/app.ts'
import type { ProjectionDefinition } from '../kernel/projection.ts'
import { unlessDamaged } from '../projection/damage.ts'
import { readViewVersion } from '../projection/sqlite/view-version.ts'

/**
 * Makes every projection of the app known to the control store. A data folder from before there were generations
 * has views that it does not know: they are generation 1, in the version and with the partitions that they have.
 */
export async function adoptViews(app: App, data: string, control: ControlStore): Promise<void> {
  for (const projection of app.projections.values()) {
    if (!(await control.projection(projection.name))) {
      await control.adopt({ projection: projection.name, generation: 1, ...(await found(data, projection)) })
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

/** What generation 1 is: as its files say, or as the app says if there are none. */
async function found(data: string, { name, version, partitions }: ProjectionDefinition) {
  for (const count of [partitions, ...countsOnDisk(data, name)]) {
    const path = viewPath(data, name, { generation: 1, partition: { index: 0, count } })
    if (existsSync(path)) return { version: (await versionOf(path, name)) ?? version, partitions: count }
  }
  return { version, partitions }
}

/** The version of a view; undefined if nobody has written it yet, or if it is damaged. */
async function versionOf(path: string, projection: string): Promise<number | undefined> {
  return (await unlessDamaged(() => readViewVersion(path, projection))).result
}

function countsOnDisk(data: string, name: string): number[] {
  const folder = dataPaths(data).views
  if (!existsSync(folder)) return []
  return readdirSync(folder).flatMap((file) => {
    if (!file.startsWith(`${name}.1.`)) return []
    const part = /^(?:0of(\d+)\.)?db$/.exec(file.slice(`${name}.1.`.length))
    return part ? [Number(part[1] ?? 1)] : []
  })
}
