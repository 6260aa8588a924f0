import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { link, lstat, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CqrsError } from '../../kernel/errors.ts'

/** What is behind the name of a file in that of a draft of it. */
const DRAFT = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.part$/

const ABANDONED_MS = 3_600_000

export interface NewFileOptions {
  /** Take the place of a file that is there. */
  readonly overwrite: boolean
}

/**
 * Writes a file for its owner alone that is there as a whole, on the disk, or not at all: under a name of its own first,
 * `<file>.<UUID>.part`. So what two write at once under one name is never mixed. What remains of one that was killed is removed by the
 * next one of that name, once nothing was written to it for an hour.
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
  await removeAbandoned(file)
  try {
    await pipeline(pieces, createWriteStream(draft, { flags: 'wx', mode: 0o600, flush: true }))
    if (overwrite) await rename(draft, file)
    else await nameAnew(draft, file)
  } finally {
    await rm(draft, { force: true })
  }
}

/**
 * Removes drafts of a file of which nobody has written anything for long: those who write do so all the time. What cannot
 * be removed, or is gone meanwhile, keeps nobody from writing.
 */
async function removeAbandoned(file: string): Promise<void> {
  const [folder, name] = [dirname(file), basename(file)]
  const isDraft = (other: string) => other.startsWith(name) && DRAFT.test(other.slice(name.length))
  const drafts = (await readdir(folder).catch(() => [])).filter(isDraft)
  const removed = drafts.map(async (draft) => {
    const path = join(folder, draft)
    const { mtimeMs } = await lstat(path)
    if (Date.now() - mtimeMs > ABANDONED_MS) await rm(path)
  })
  await Promise.allSettled(removed)
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
