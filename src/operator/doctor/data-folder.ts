import { access, constants, open, readdir, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { dataPaths } from '../../config/paths.ts'
import { isCqrsError } from '../../kernel/errors.ts'
import { toStoreError } from '../../sqlite/errors.ts'
import { unfitFileSystem } from '../../sqlite/file-system.ts'
import { isOlder, type StoreSchema } from '../../sqlite/migrate.ts'
import { quickCheck } from '../../sqlite/quick-check.ts'
import { storeFiles, storeSize } from '../../sqlite/store-files.ts'
import { type Check, fail, ok, warn } from './check.ts'

/** Less free space than this is worth a look, in bytes. */
const LITTLE_SPACE = 1024 ** 3

/** Less free space than this will not last, in bytes. */
const NO_SPACE = 64 * 1024 ** 2

const READ_ONLY =
  'Commands are refused. The disk is mounted read-only, or the kernel made it so after a disk error: check the system log, and ' +
  'make the disk writable again. Or set CQRS_DATA to another folder.'

/** Error codes for a user who is not allowed to write. */
const NO_RIGHT = ['EACCES', 'EPERM']

/** A store of the data folder, and the schema that this program has for it. */
export interface KnownStore {
  readonly path: string
  readonly schema: StoreSchema
}

/** Checks the data folder itself: whether it can be written, who can read it, how much space is left, on what it is. */
export async function checkDataFolder(data: string): Promise<Check[]> {
  const exists = await isThere(data)
  const folder = exists ? data : await nearestFolder(data)
  return [await checkAccess(data, folder), await checkSpace(folder), ...checkFileSystem(folder)]
}

/**
 * Checks every page of every store in the data folder, from outside and without writing. A store can open, and its
 * head be read, while a damaged page makes every command fail.
 *
 * @param known what the stores should be; one of a newer version, or of something else, fails
 */
export async function checkStores(data: string, known: readonly KnownStore[] = []): Promise<Check[]> {
  const unread: Check[] = []
  const files = await databases(data, (folder, { message }) => {
    unread.push(notLookedInto(relative(data, folder) || 'stores', message))
  })
  const schemas = new Map(known.map(({ path, schema }) => [path, schema]))
  const checks = files.map((path) => checkStore(path, relative(data, path), schemas.get(path)))
  return [...unread, ...(await Promise.all(checks))]
}

/**
 * Checks for files of views that a start has moved aside (see src/workers/projections/unknown-views.ts): nothing reads them, but
 * they take space.
 */
export async function checkAside(data: string): Promise<Check[]> {
  const folder = asideOf(data)
  const files = await filesIn(folder)
  if (files.length === 0) return []
  const sizes = await Promise.all(files.map(async (path) => (await stat(path)).size))
  const views = files.filter((path) => path.endsWith('.db')).length
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return [
    warn(
      relative(data, folder),
      `${views} ${views === 1 ? 'view' : 'views'} moved aside, ${sizeOf(bytes)}`,
      'The system moved them there when it started, because control.db did not know their generations; nothing reads them. Once ' +
        `you are sure that you will not restore another control.db, remove ${folder}.`,
    ),
  ]
}

/** When something in the data folder was written last, in ms since 1970. */
export async function newestWrite(data: string): Promise<number | undefined> {
  const times = await Promise.all((await databases(data)).map(async (path) => (await stat(path)).mtimeMs))
  return times.length > 0 ? Math.max(...times) : undefined
}

async function checkAccess(data: string, folder: string): Promise<Check> {
  const refusal = await whyUnwritable(data, folder)
  if (refusal !== undefined) {
    const found = `${folder} cannot be written (${refusal})`
    return NO_RIGHT.includes(refusal)
      ? fail(
          'data folder',
          found,
          'Give this user the right to write there, or set CQRS_DATA to another folder.',
        )
      : fail('data folder', found, READ_ONLY)
  }
  if (folder !== data) return ok('data folder', `${data} will be created at the first start`)
  const { mode } = await stat(data)
  const open = mode & 0o077
  return open === 0
    ? ok('data folder', `${data}, for your user only`)
    : warn(
        'data folder',
        `${data} has mode ${(mode & 0o777).toString(8)}`,
        `Other users of this machine have access to it: chmod 700 ${data}`,
      )
}

/**
 * Finds out, without writing, why nothing can be written to the data folder; undefined if it can. After a disk error
 * the kernel may refuse writes while `access` still succeeds, so an existing file is opened for writing, too.
 */
async function whyUnwritable(data: string, folder: string): Promise<string | undefined> {
  try {
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    const probe = await open(dataPaths(data).writeProbe, 'r+')
    await probe.close()
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // The file to open does not exist yet: no operator worker has run here.
    return code === 'ENOENT' ? undefined : (code ?? message)
  }
}

async function checkSpace(folder: string): Promise<Check> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  const found = `${(free / 1024 ** 3).toFixed(1)} GiB free`
  if (free < NO_SPACE)
    return fail('disk', found, 'Free some space: commands are refused when the disk is full.')
  if (free < LITTLE_SPACE) return warn('disk', found, 'Free some space before it runs out.')
  return ok('disk', found)
}

function checkFileSystem(folder: string): Check[] {
  const unfit = unfitFileSystem(folder)
  return unfit ? [warn('file system', `${folder} is on ${unfit.name}`, unfit.advice)] : []
}

/** 28672 as `28 KiB`; from 1 MiB on in MiB. Most stores are small. */
function sizeOf(bytes: number): string {
  const mib = 1024 ** 2
  return bytes < mib ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / mib).toFixed(1)} MiB`
}

async function checkStore(path: string, name: string, schema: StoreSchema | undefined): Promise<Check> {
  let db: DatabaseSync | undefined
  try {
    // Measured before it is opened: while it is open, SQLite adds files beside it.
    const size = storeSize(path)
    const refused = await unwritable(path)
    db = new DatabaseSync(path, { readOnly: true, timeout: 1_000 })
    if (schema) isOlder(db, schema, path)
    const pragma = (key: string) => Object.values(db?.prepare(`PRAGMA ${key}`).get() ?? {})[0]
    const { mode } = await stat(path)
    const damage = quickCheck(db)
    if (damage) return damaged(name, damage)
    const found = `schema ${pragma('user_version')}, ${pragma('journal_mode')}, ${sizeOf(size)}`
    if (refused) {
      const { file, code } = refused
      const advice = NO_RIGHT.includes(code)
        ? `This user cannot write to it: change its owner (chown, chmod 600 ${file}), or start the system as the user who owns it.`
        : READ_ONLY
      return fail(name, `${found}, ${relative(dirname(path), file)} cannot be written (${code})`, advice)
    }
    if (mode & 0o077) return warn(name, `${found}, readable by others`, `chmod 600 ${path}`)
    return ok(name, found)
  } catch (error) {
    const { message } = error as Error
    if (isCqrsError(error, 'CQRS_STORE_NEWER')) return fail(name, 'is of a newer version', message)
    if (isCqrsError(error, 'CQRS_STORE_FOREIGN'))
      return isView(name) ? damaged(name, message) : fail(name, 'is no store of this software', message)
    const failure = toStoreError(error, path)
    if (isCqrsError(failure) && failure.code === 'CQRS_STORE_CORRUPT') return damaged(name, message)
    return notLookedInto(name, message)
  } finally {
    db?.close()
  }
}

/**
 * The first existing file of a store that cannot be opened for writing; nothing is written. `access` is not used: it
 * checks the real user id instead of the effective one, and some kernels grant access that they then refuse.
 */
async function unwritable(path: string): Promise<{ file: string; code: string } | undefined> {
  for (const file of storeFiles(path)) {
    try {
      await (await open(file, 'r+')).close()
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT') return { file, code: code ?? message }
    }
  }
  return undefined
}

function isView(name: string): boolean {
  return name.startsWith('views')
}

function notLookedInto(name: string, why: string): Check {
  return fail(
    name,
    `cannot be read (${why})`,
    'Whether it is damaged is not known. Run this as the user who owns it, with write access to its folder.',
  )
}

function damaged(name: string, how: string): Check {
  if (name === basename(dataPaths('').snapshots)) {
    return fail(name, how, 'It is only a cache: stop the system and remove it, with -wal and -shm.')
  }
  if (!isView(name)) {
    return fail(name, how, 'Restore a backup. If there is none, see docs/errors.md, CQRS_STORE_CORRUPT.')
  }
  const projection = basename(name).replace(/\.\d+(?:\.\d+of\d+)?\.db$/, '')
  return fail(
    name,
    how,
    `A view can be made again from the log: "cqrs rebuild ${projection}" replaces it, then "cqrs prune" removes the damaged ` +
      'file. See docs/errors.md, CQRS_STORE_CORRUPT.',
  )
}

/** The files of all stores, except those that {@link checkAside} covers. */
async function databases(data: string, onUnread?: OnUnread): Promise<string[]> {
  const aside = asideOf(data) + sep
  return (await filesIn(data, onUnread)).filter((path) => path.endsWith('.db') && !path.startsWith(aside))
}

/**
 * @param onUnread called for each folder that cannot be read, with the error; the files of the other folders are
 *   still listed
 */
async function filesIn(folder: string, onUnread: OnUnread = () => {}): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') onUnread(folder, error)
    return []
  })
  const files = await Promise.all(
    entries.map((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return filesIn(path, onUnread)
      return entry.isFile() ? [path] : []
    }),
  )
  return files.flat().sort()
}

type OnUnread = (folder: string, error: Error) => void

function asideOf(data: string): string {
  return join(dataPaths(data).views, 'aside')
}

async function nearestFolder(path: string): Promise<string> {
  const parent = dirname(path)
  return parent === path || (await isThere(parent)) ? parent : nearestFolder(parent)
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
