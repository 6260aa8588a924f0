import { DatabaseSync } from 'node:sqlite'
import { CqrsError } from '../kernel/errors.ts'
import { migrate, type StoreSchema } from './migrate.ts'

/** The columns and indexes of each table, as SQLite reports them. */
type Shape = ReadonlyMap<string, { readonly columns: string; readonly indexes: ReadonlySet<string> }>

const expected = new WeakMap<StoreSchema, Shape>()

/**
 * Compares the tables that SQLite finds in a store with those that its migrations create. The text of the schema is in
 * the file like everything else: one changed byte of it can rename a column, and then correct statements fail as if
 * they were wrong. Additional indexes are allowed: a view has those of its projection.
 *
 * @throws CqrsError CQRS_STORE_CORRUPT that names the table
 */
export function assertSchema(db: DatabaseSync, schema: StoreSchema, path: string): void {
  const wanted = expected.get(schema) ?? shapeOfNew(schema)
  expected.set(schema, wanted)
  const found = shapeOf(db)
  for (const [table, { columns, indexes }] of wanted) {
    const other = found.get(table)
    if (other?.columns === columns && [...indexes].every((index) => other.indexes.has(index))) continue
    const cause = new Error(`the definition of the table ${table} is not what was written`)
    throw new CqrsError(
      'CQRS_STORE_CORRUPT',
      `The definition of the table ${table} in the ${schema.name} ${path} is not what was written; restore it from a backup.`,
      { cause },
    )
  }
}

/** The shape of a store that was created just now. */
function shapeOfNew(schema: StoreSchema): Shape {
  const db = new DatabaseSync(':memory:')
  try {
    migrate(db, schema, ':memory:')
    return shapeOf(db)
  } finally {
    db.close()
  }
}

function shapeOf(db: DatabaseSync): Shape {
  const tables = db
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`)
    .all()
    .map(({ name }) => String(name))
  const columns = db.prepare('SELECT * FROM pragma_table_xinfo(?)')
  const indexes = db.prepare('SELECT name, "unique", partial FROM pragma_index_list(?)')
  return new Map(
    tables.map((table) => [
      table,
      {
        columns: JSON.stringify(columns.all(table)),
        indexes: new Set(indexes.all(table).map((index) => JSON.stringify(index))),
      },
    ]),
  )
}
