import type { DatabaseSync } from 'node:sqlite'
import { CqrsError } from '../../kernel/errors.ts'

const FIELD = /^[A-Za-z_][A-Za-z0-9_]*$/
const PREFIX = 'documents_by_'

/** The SQL expression of an indexed field of the document; the same text in index and query. */
export function fieldExpression(field: string): string {
  if (!FIELD.test(field)) {
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `"${field}" cannot be indexed: the name of an indexed field may contain only letters, digits and _.`,
    )
  }
  return `json_extract(document, '$.${field}')`
}

/** Whether a view has no index yet for one of the fields. */
export function lacksIndex(db: DatabaseSync, fields: readonly string[]): boolean {
  const existing = existingIndexes(db)
  return fields.some((field) => !existing.includes(PREFIX + field))
}

/** Brings the indexes of a view in step with its definition. */
export function createIndexes(db: DatabaseSync, fields: readonly string[]): void {
  const wanted = new Set(fields.map((field) => PREFIX + field))
  for (const name of existingIndexes(db)) if (!wanted.has(name)) db.exec(`DROP INDEX ${name}`)
  for (const field of fields) {
    db.exec(`CREATE INDEX IF NOT EXISTS ${PREFIX}${field} ON documents (${fieldExpression(field)}, key)`)
  }
}

function existingIndexes(db: DatabaseSync): string[] {
  return db
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'index' AND name GLOB '${PREFIX}*'`)
    .all()
    .map((row) => String(row.name))
}
