import { existsSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { CqrsError, isCqrsError } from '../../kernel/errors.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { storeFiles } from '../../sqlite/store-files.ts'
import { viewSchema } from './schema.ts'
import { damagedView, foreignView, toViewError } from './view-error.ts'

/**
 * Opens the file of a view. A missing file is created only for a writer: for a reader, it may have been removed just
 * now, and a new file would be left behind as a view without documents. A file that must exist counts as damaged if it
 * is missing.
 *
 * @throws CqrsError CQRS_STORE_… that says what to do for a view
 */
export function openView(
  path: string,
  projection: string,
  {
    readOnly = false,
    mustExist = readOnly,
  }: { readonly readOnly?: boolean; readonly mustExist?: boolean } = {},
): DatabaseSync {
  try {
    if (!mustExist && !existsSync(path)) removeRest(path)
    return openDatabase({ path, schema: viewSchema, durability: 'normal', readOnly, mustExist })
  } catch (error) {
    if (isCqrsError(error, 'CQRS_STORE_FOREIGN')) throw foreignView(error.message, path)
    if (mustExist && !existsSync(path))
      throw damagedView(new Error('there is no such file'), path, projection)
    if (!isCqrsError(error, 'CQRS_STORE_CORRUPT')) throw error
    throw damagedView((error.cause as Error | undefined) ?? error, path, projection)
  }
}

/**
 * Opens the file of a view for one look or change from outside, and closes it again.
 *
 * @throws CqrsError CQRS_STORE_… that says what to do for a view
 */
export function withView<Result>(
  path: string,
  projection: string,
  options: Parameters<typeof openView>[2],
  use: (db: DatabaseSync) => Result,
): Result {
  const db = openView(path, projection, options)
  try {
    return use(db)
  } catch (error) {
    throw toViewError(error, path, projection)
  } finally {
    db.close()
  }
}

/**
 * Removes what SQLite kept beside a view whose file is gone. Somebody who still has that view open may hold these files,
 * and SQLite would then take them for those of the new view, and fail to read them.
 */
function removeRest(path: string): void {
  for (const file of storeFiles(path).slice(1)) rmSync(file, { force: true })
}

/**
 * The number (inode) of a view's file; undefined if there is none. As long as somebody has the file open, no other one
 * gets its number.
 *
 * @throws CqrsError CQRS_STORE_UNAVAILABLE if that cannot be told
 */
export function fileNumber(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
  } catch (cause) {
    const message = `The store ${path} failed: it cannot be looked for; check the disk, and the permissions of the data folder (${(cause as Error).message}).`
    throw new CqrsError('CQRS_STORE_UNAVAILABLE', message, { cause })
  }
}

/**
 * Whether the file of a view was removed, or another one was put in its place. Not if its whole folder is missing: then
 * the folder was moved or unmounted.
 *
 * @param number the {@link fileNumber} of the file when it was opened
 */
export function wasReplaced(path: string, number: bigint | undefined): boolean {
  const found = fileNumber(path)
  return found === undefined ? existsSync(dirname(path)) : found !== number
}
