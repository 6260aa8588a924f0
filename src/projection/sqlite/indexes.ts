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

/** Brings the indexes of a view in step with its definition. */
export function createIndexes(db: DatabaseSync, fields: readonly string[]): void {
  const wanted = new Set(fields.map((field) => PREFIX + field))
  const existing = db
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'index' AND name GLOB '${PREFIX}*'`)
    .all()
    .map((row) => String(row.name))
  for (const name of existing) if (!wanted.has(name)) db.exec(`DROP INDEX ${name}`)
  for (const field of fields) {
    db.exec(`CREATE INDEX IF NOT EXISTS ${PREFIX}${field} ON documents (${fieldExpression(field)}, key)`)
  }
}
