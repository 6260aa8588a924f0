import { existsSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { isCqrsError } from '../../kernel/errors.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { viewSchema } from './schema.ts'
import { damagedView, foreignView } from './view-error.ts'

/**
 * Opens the file of a view. Only who writes makes one that is missing: for a reader it may have been removed this
 * moment, and what it made would be left behind as a view without documents. One that has to be there counts as damaged.
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
