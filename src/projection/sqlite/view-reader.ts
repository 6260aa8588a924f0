import type { DatabaseSync } from 'node:sqlite'
import { CqrsError } from '../../kernel/errors.ts'
import type { Position } from '../../kernel/position.ts'
import type { ProjectionDefinition } from '../../kernel/projection.ts'
import type { FindOptions, Page } from '../../kernel/query.ts'
import type { DigestMark } from '../audit.ts'
import type { Freshness, ReadableView, ViewStanding } from '../contract.ts'
import { type FoundDocument, findPage, type IndexValue, type Search } from '../find.ts'
import { fieldExpression } from './indexes.ts'
import { openView } from './open-view.ts'
import { type DocumentRow, toDocument } from './rows.ts'
import { searchQuery } from './search-query.ts'
import { toViewError } from './view-error.ts'

/** Opens a view for reading; a view that nobody has written yet is empty. @throws CqrsError CQRS_STORE_… */
export function openSqliteViewReader(path: string, projection: ProjectionDefinition): ReadableView {
  return new SqliteViewReader(path, projection)
}

/** The one row of the checkpoint at a revision, with how many events were parked then. */
type Counted = Freshness & { readonly revision: number }

class SqliteViewReader implements ReadableView {
  readonly #path: string
  readonly #projection: ProjectionDefinition
  readonly #db: DatabaseSync
  readonly #sql: Readonly<Record<'checkpoint' | 'counted' | 'get', ReturnType<DatabaseSync['prepare']>>>
  /** As it was counted last; whatever is parked or settled makes another revision. */
  #counted: Counted | undefined
  readonly #statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()

  constructor(path: string, projection: ProjectionDefinition) {
    this.#path = path
    this.#projection = projection
    this.#db = openView(path, projection.name, { readOnly: true })
    this.#sql = {
      checkpoint: this.#db.prepare('SELECT position, revision FROM checkpoint'),
      // One statement, so that both are of one moment.
      counted: this.#db.prepare(
        'SELECT position, revision, (SELECT count(*) FROM parked) AS parked FROM checkpoint',
      ),
      get: this.#db.prepare('SELECT key, document, checksum FROM documents WHERE key = ?'),
    }
  }

  async position(): Promise<Position> {
    return this.#read(() => this.#position())
  }

  async freshness(): Promise<Freshness> {
    return this.#read(() => {
      if (this.#sql.checkpoint.get()?.revision !== this.#counted?.revision) {
        this.#counted = { ...this.#sql.counted.get() } as unknown as Counted
      }
      const { position, parked } = this.#counted ?? { position: 0, parked: 0 }
      return { position, parked }
    })
  }

  async marks(after: Position): Promise<DigestMark[]> {
    return this.#read(() => {
      const rows = this.#prepare(
        `SELECT position, processed, digest FROM digest_marks WHERE position > ?1
         UNION SELECT position, processed, digest FROM checkpoint WHERE position > ?1 ORDER BY position`,
      ).all(after)
      return rows.map((row) => ({ ...row }) as unknown as DigestMark)
    })
  }

  async standing(): Promise<ViewStanding> {
    return this.#read(() => {
      const parked = { retrying: 0, dead: 0, waiting: 0, ...this.#counts('parked') }
      const effects = { pending: 0, dead: 0, ...this.#counts('effects') }
      return { position: this.#position(), parked, effects }
    })
  }

  async get(key: string): Promise<unknown> {
    return this.#read(() => {
      const row = this.#sql.get.get(key)
      return row && toDocument(row as unknown as DocumentRow, this.#path)
    })
  }

  find(options: FindOptions): Promise<Page<unknown>> {
    return findPage([this], options)
  }

  async search(search: Search): Promise<FoundDocument[]> {
    const { sql, values } = searchQuery(search, this.#field(search.by))
    return this.#read(() =>
      this.#prepare(sql)
        .all(...values)
        .map((row) => ({
          key: String(row.key),
          value: row.value as IndexValue,
          document: toDocument(row as unknown as DocumentRow, this.#path),
        })),
    )
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close()
  }

  #position(): Position {
    return Number(this.#sql.checkpoint.get()?.position ?? 0)
  }

  #counts(table: 'parked' | 'effects'): Record<string, number> {
    const rows = this.#prepare(`SELECT status, count(*) AS rows FROM ${table} GROUP BY status`).all()
    return Object.fromEntries(rows.map((row) => [String(row.status), Number(row.rows)]))
  }

  #prepare(sql: string) {
    const statement = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  #field(by: string | undefined): string | undefined {
    if (by === undefined) return undefined
    if (this.#projection.indexes.includes(by)) return fieldExpression(by)
    throw new CqrsError(
      'CQRS_VALIDATION',
      `The projection ${this.#projection.name} has no index on "${by}"; its indexes are: ` +
        `${this.#projection.indexes.join(', ') || 'none'}. Add it to "indexes" in defineProjection.`,
    )
  }

  #read<Result>(read: () => Result): Result {
    try {
      return read()
    } catch (error) {
      throw toViewError(error, this.#path, this.#projection.name)
    }
  }
}
