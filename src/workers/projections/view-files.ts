import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { dataPaths } from '../../config/paths.ts'

/** The file of one generation of a view, or of one partition of it, as it lies in a data folder. */
export interface ViewFile {
  /** The file name, without its folder. */
  readonly name: string
  readonly path: string
  readonly generation: number
  /** Into how many partitions the generation is split. */
  readonly count: number
}

/** All files of a projection's views, whether the control store knows them or not. */
export function viewFiles(data: string, projection: string): ViewFile[] {
  const folder = dataPaths(data).views
  if (!existsSync(folder)) return []
  return readdirSync(folder).flatMap((name) => {
    if (!name.startsWith(`${projection}.`)) return []
    const [, generation, count = '1'] =
      /^(\d+)(?:\.\d+of(\d+))?\.db$/.exec(name.slice(projection.length + 1)) ?? []
    if (generation === undefined) return []
    return [{ name, path: join(folder, name), generation: Number(generation), count: Number(count) }]
  })
}
