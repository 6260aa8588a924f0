import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { link, lstat, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CqrsError } from '../../kernel/errors.ts'

/** What follows the name of a file in the name of its draft. */
const DRAFT = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.part$/

/** A draft that nothing was written to for this long is abandoned. */
const ABANDONED_MS = 3_600_000

export interface NewFileOptions {
  /** Replace an existing file of this name. */
  readonly overwrite: boolean
}

/**
 * Writes a file that only its owner can read. Afterwards the file is complete and on the disk, or it does not exist
 * at all: it is written as a draft first, `<file>.<UUID>.part`. So two processes that write the same file at once
 * never mix their contents. If a process is killed, its draft stays; the next write of the same file removes it once
 * nothing was written to it for an hour.
 *
 * @param pieces the text of the file, piece by piece
 * @throws CqrsError CQRS_VALIDATION if a file of this name exists, at the beginning or at the end, and `overwrite` is
 *   not set, or if it cannot be written; CQRS_STORE_FULL if there is no room for it
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
  } catch (error) {
    throw whyNotWritten(file, error)
  } finally {
    await rm(draft, { force: true })
  }
}

/**
 * Removes drafts of a file that nobody has written to for an hour; a live process writes to its draft all the time. A
 * draft that cannot be removed, or is gone by then, does not stop the new file from being written.
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

/** @throws CqrsError CQRS_VALIDATION if a file, folder or link of this name exists */
export async function assertIsNew(file: string): Promise<void> {
  const found = await lstat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found) throw isThere(file)
}

/** Gives the draft its final name. A link fails if the name is taken by now; a rename would replace that file. */
async function nameAnew(draft: string, file: string): Promise<void> {
  try {
    await link(draft, file)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw isThere(file)
    // Some file systems, e.g. those of memory sticks, have no links.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code)) throw error
    await assertIsNew(file)
    await rename(draft, file)
  }
}

/** What an error of the file system means for the user; any other error stays as it is. */
function whyNotWritten(file: string, error: unknown): unknown {
  const { syscall, code = '', message } = error as NodeJS.ErrnoException
  if (syscall === undefined) return error
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CqrsError(
      'CQRS_STORE_FULL',
      `There is no room for ${file}, and nothing of it was written (${code}). Free space, or name a file on another disk.`,
      { cause: error },
    )
  }
  return new CqrsError(
    'CQRS_VALIDATION',
    // Without the name of the draft, which nobody has asked for.
    `${file} cannot be written (${message.split(',')[0]}). Name a file in a folder that exists and that you may write to.`,
    { cause: error },
  )
}

function isThere(file: string): CqrsError {
  return new CqrsError(
    'CQRS_VALIDATION',
    `${file} exists already and was not changed. Choose another name, or use --overwrite to replace it.`,
  )
}
