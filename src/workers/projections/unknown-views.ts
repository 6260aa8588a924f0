import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { dataPaths } from '../../config/paths.ts'
import type { ControlStore } from '../../control/contract.ts'
import type { App } from '../../kernel/app.ts'
import { storeFiles } from '../../sqlite/store-files.ts'
import { viewFiles } from './view-files.ts'

/**
 * Moves the files of generations that the control store does not know out of the way, to `views/aside/<n>`. After the
 * control store was lost, or an older copy of it was put back, its next rebuild may get the number of a generation
 * whose file is already there. The rebuild would go on from that file, whose content may come from events that the log
 * does not have, or from an earlier fold.
 *
 * Pruning removes the files of a generation before the control store forgets it, so nothing else leaves such files.
 * Call it at a start, before anything is built.
 *
 * @throws the file system's own error if a file cannot be moved
 */
export async function setAsideUnknownViews(
  app: App,
  data: string,
  control: ControlStore,
  log: Logger,
): Promise<void> {
  // List the files first, then read the control store: if another process begins a generation in between, the store
  // knows it before its file is there.
  const files = [...app.projections.keys()].map(
    (projection) => [projection, viewFiles(data, projection)] as const,
  )
  for (const [projection, found] of files) {
    const known = (await control.projection(projection))?.generations.map((one) => one.generation) ?? []
    for (const { name, path, generation } of found) {
      if (known.includes(generation)) continue
      const to = setAside(dataPaths(data).views, name)
      if (to === undefined) continue
      log.warn(
        { projection, generation, from: path, to },
        'control.db does not know the generation that this file belongs to, for example because an older copy of control.db ' +
          'was put back; the file was moved aside, so that no rebuild continues from it. Remove it; or, if it should ' +
          'serve, stop the system and put back the file and the control.db from the same moment',
      )
    }
  }
}

/** @returns where the file is now; undefined if somebody else has removed it */
function setAside(views: string, file: string): string | undefined {
  let n = 1
  while (existsSync(join(views, 'aside', String(n), file))) n += 1
  const folder = join(views, 'aside', String(n))
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  // The main file goes last: if this process is killed before that, the next start finds the file again, and chooses
  // the same folder.
  const [main = '', ...beside] = storeFiles(file)
  for (const each of beside) if (existsSync(join(views, each))) moved(join(views, each), join(folder, each))
  return moved(join(views, main), join(folder, main)) ? join(folder, main) : undefined
}

function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
