import { join } from 'node:path'

/** The first generation of a view; a rebuild makes the next one. */
const FIRST_GENERATION = 1

/** The file of a view: one per generation, so that building a new one never touches the one that serves. */
export function viewPath(folder: string, projection: string, generation: number = FIRST_GENERATION): string {
  return join(folder, `${projection}.${generation}.db`)
}
