import type { DatabaseSync } from 'node:sqlite'
import { isCqrsError } from '../../kernel/errors.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { viewSchema } from './schema.ts'
import { damagedView, foreignView } from './view-error.ts'

/** Opens the file of a view. @throws CqrsError CQRS_STORE_… that says what to do for a view */
export function openView(
  path: string,
  projection: string,
  { readOnly = false }: { readonly readOnly?: boolean } = {},
): DatabaseSync {
  try {
    return openDatabase({ path, schema: viewSchema, durability: 'normal', readOnly })
  } catch (error) {
    if (isCqrsError(error, 'CQRS_STORE_FOREIGN')) throw foreignView(error.message, path)
    if (!isCqrsError(error, 'CQRS_STORE_CORRUPT')) throw error
    throw damagedView((error.cause as Error | undefined) ?? error, path, projection)
  }
}
