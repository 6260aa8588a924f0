import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { link, lstat, rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { CqrsError } from '../../kernel/errors.ts'

export interface NewFileOptions {
  /** Take the place of a file that is there. */
  readonly overwrite: boolean
}

/**
 * Writes a file for its owner alone that is there as a whole, on the disk, or not at all: under a name of its own first,
 * `<file>.<UUID>.part`, which remains if the process is killed. So what two write at once under one name is never mixed.
 *
 * @param pieces its text, as it comes
 * @throws CqrsError CQRS_VALIDATION if there is a file of this name, at the beginning or at the end, and it is not to be overwritten
 */
export async function writeNewFile(
  file: string,
  pieces: AsyncIterable<string>,
  { overwrite }: NewFileOptions,
): Promise<void> {
  const draft = `${file}.${randomUUID()}.part`
  try {
    await pipeline(pieces, createWriteStream(draft, { flags: 'wx', mode: 0o600, flush: true }))
    if (overwrite) await rename(draft, file)
    else await nameAnew(draft, file)
  } finally {
    await rm(draft, { force: true })
  }
}

/** @throws CqrsError CQRS_VALIDATION if there is something of this name */
export async function assertIsNew(file: string): Promise<void> {
  const found = await lstat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found) throw isThere(file)
}

/** A link is made only if there is no file of the name, where a rename replaces what somebody has put there meanwhile. */
async function nameAnew(draft: string, file: string): Promise<void> {
  try {
    await link(draft, file)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw isThere(file)
    // Some file systems, those of memory sticks for one, have no links.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code)) throw error
    await assertIsNew(file)
    await rename(draft, file)
  }
}

function isThere(file: string): CqrsError {
  return new CqrsError(
    'CQRS_VALIDATION',
    `${file} is there already, and was left as it is. Choose another name, or take --overwrite to replace it.`,
  )
}
