import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Gives a round a folder that is gone afterwards. */
export async function inFolder<Result>(
  parent: string,
  use: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(parent, 'round-'))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
