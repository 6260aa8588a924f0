import { existsSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { isCqrsError } from '../../kernel/errors.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { viewSchema } from './schema.ts'
import { damagedView, foreignView } from './view-error.ts'

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
    return openDatabase({ path, schema: viewSchema, durability: 'normal', readOnly, mustExist })
  } catch (error) {
    if (isCqrsError(error, 'CQRS_STORE_FOREIGN')) throw foreignView(error.message, path)
    if (mustExist && !existsSync(path))
      throw damagedView(new Error('there is no such file'), path, projection)
    if (!isCqrsError(error, 'CQRS_STORE_CORRUPT')) throw error
    throw damagedView((error.cause as Error | undefined) ?? error, path, projection)
  }
}
