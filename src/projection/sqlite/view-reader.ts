import { existsSync } from 'node:fs'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { CqrsError } from '../../kernel/errors.ts'
import type { Position } from '../../kernel/position.ts'
import type { ProjectionDefinition } from '../../kernel/projection.ts'
import type { FindOptions, Page } from '../../kernel/query.ts'
import { atOneMoment } from '../../sqlite/transaction.ts'
import type { DigestMark } from '../audit.ts'
import { type Freshness, MOST_PARKED, type ReadableView, type ViewStanding } from '../contract.ts'
import { type FoundDocument, findPage, type IndexValue, type Search } from '../find.ts'
import { fieldExpression, lacksIndex } from './indexes.ts'
import { fileNumber, openView } from './open-view.ts'
import { type DocumentRow, toDocument } from './rows.ts'
import { type SearchQuery, searchQueries } from './search-query.ts'
import { toViewError } from './view-error.ts'

/**
 * Opens a view for reading. Until somebody has written it, it is empty: each read looks for the file, and never creates
 * it.
 *
 * @param version of the fold that made the view; by default that of the code. A view of another version may lack an
 *   index of the code, and the field, so that a search by it would find nothing: it is refused (CQRS_VIEW_BEHIND)
 * @throws CqrsError CQRS_STORE_…
 */
export function openSqliteViewReader(
  path: string,
  projection: ProjectionDefinition,
  version: number = projection.version,
): ReadableView {
  return new SqliteViewReader(path, projection, version)
}

/** The position and revision of the checkpoint, with the number of events that were parked then. */
type Counted = Freshness & { readonly revision: number }

/** How long to wait before checking again that the file is still the one that was opened, in milliseconds. */
const LOOK_MS = 100

/**
 * How many parked events are counted at most for each query: a failing fold can park millions, and queries must go on.
 */
const MOST_COUNTED = MOST_PARKED + 1

const NOTHING_PARKED = { retrying: 0, dead: 0, waiting: 0 }

const NO_EFFECTS = { pending: 0, dead: 0 }

class SqliteViewReader implements ReadableView {
  readonly #path: string
  readonly #projection: ProjectionDefinition
  readonly #version: number
  #file: ViewFile | undefined
  #isClosed = false
  /** The {@link fileNumber} of the file that was opened. */
  #opened: bigint | undefined
  #lookedAt = performance.now()
  #isReplaced = false
  /** The last count. It is valid for its revision: parking or settling an event makes another one. */
  #counted: Counted | undefined

  constructor(path: string, projection: ProjectionDefinition, version: number) {
    this.#path = path
    this.#projection = projection
    this.#version = version
    // Reports at once what is wrong with a file that exists.
    this.#read(undefined, () => undefined)
  }

  async isWritten(): Promise<boolean> {
    return this.#read(false, () => true)
  }

  isReplaced(): boolean {
    const now = performance.now()
    if (this.#isReplaced || now - this.#lookedAt < LOOK_MS) return this.#isReplaced
    this.#lookedAt = now
    const found = fileNumber(this.#path)
    this.#isReplaced = this.#file !== undefined && found !== undefined && found !== this.#opened
    return this.#isReplaced
  }

  async position(): Promise<Position> {
    return this.#read(0, (file) => file.position())
  }

  async freshness(): Promise<Freshness> {
    return this.#read({ position: 0, parked: 0 }, (file) => {
      if (file.checkpoint.get()?.revision !== this.#counted?.revision) {
        this.#counted = { ...file.counted.get() } as unknown as Counted
      }
      const { position, parked } = this.#counted ?? { position: 0, parked: 0 }
      return { position, parked }
    })
  }

  async marks(after: Position, through = Number.MAX_SAFE_INTEGER): Promise<DigestMark[]> {
    return this.#read([], (file) => {
      // At the position of the checkpoint, only the checkpoint counts: a mark there does not say what the view goes on
      // from.
      const rows = file
        .prepare(
          `SELECT position, processed, digest FROM digest_marks
             WHERE position > ?1 AND position <= ?2 AND position IS NOT (SELECT position FROM checkpoint)
           UNION SELECT position, processed, digest FROM checkpoint WHERE position > ?1 ORDER BY position`,
        )
        .all(after, through)
      return rows.map((row) => ({ ...row }) as unknown as DigestMark)
    })
  }

  async standing(): Promise<ViewStanding> {
    const nothing = { position: 0, parked: NOTHING_PARKED, effects: NO_EFFECTS }
    return this.#read(nothing, (file) => {
      const parked = { ...NOTHING_PARKED, ...file.counts('parked') }
      const effects = { ...NO_EFFECTS, ...file.counts('effects') }
      return { position: file.position(), parked, effects }
    })
  }

  async get(key: string): Promise<unknown> {
    return this.#read(undefined, (file) => {
      const row = file.document.get(key)
      return row && toDocument({ ...row, key } as unknown as DocumentRow, this.#path)
    })
  }

  find(options: FindOptions, characters?: number): Promise<Page<unknown>> {
    return findPage([this], options, characters)
  }

  async search(search: Search): Promise<FoundDocument[]> {
    const queries = searchQueries(search, this.#field(search.by))
    const read = (file: ViewFile) => {
      this.#assertIndexed(file, search.by)
      return this.#found(file, search, queries)
    }
    return this.#read([], (file) => (queries.length === 1 ? read(file) : file.atOneMoment(() => read(file))))
  }

  #found(file: ViewFile, { limit, characters }: Search, queries: readonly SearchQuery[]): FoundDocument[] {
    const found: FoundDocument[] = []
    let left = characters
    for (const { sql, values } of queries) {
      const statement = file.prepare(sql)
      // node:sqlite refuses to read a whole number beyond 2^53 as a number.
      statement.setReadBigInts(true)
      for (const { key, value, document, checksum } of statement.iterate(...values)) {
        const row = { key, document, checksum: Number(checksum) } as unknown as DocumentRow
        found.push({
          key: String(key),
          value: typeof value === 'bigint' ? Number(value) : (value as IndexValue),
          document: toDocument(row, this.#path),
          characters: row.document.length,
        })
        left -= row.document.length
        if (found.length === limit || (left < 0 && found.length > 1)) return found
      }
    }
    return found
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#file?.close()
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

  #assertIndexed(file: ViewFile, by: string | undefined): void {
    const { name, version } = this.#projection
    if (by === undefined || this.#version === version || !file.lacksIndex(by)) return
    throw new CqrsError(
      'CQRS_VIEW_BEHIND',
      `The view ${name} is served in version ${this.#version}, which has no index on "${by}"; this code defines version ${version}. ` +
        'Try again when that one serves: "cqrs status" shows it.',
    )
  }

  /** @param empty the result as long as there is no file */
  #read<Result>(empty: Result, read: (file: ViewFile) => Result): Result {
    try {
      this.#file ??= this.#open()
      return this.#file ? read(this.#file) : empty
    } catch (error) {
      throw toViewError(error, this.#path, this.#projection.name)
    }
  }

  #open(): ViewFile | undefined {
    if (this.#isClosed) throw new CqrsError('CQRS_CLOSED', `The view ${this.#path} is closed; open it again.`)
    // Read before the file is opened: if another one takes its place in between, isReplaced notices it.
    this.#opened = fileNumber(this.#path)
    if (this.#opened === undefined) return undefined
    let db: DatabaseSync | undefined
    try {
      db = openView(this.#path, this.#projection.name, { readOnly: true })
      return new ViewFile(db)
    } catch (error) {
      db?.close()
      // The file was removed just now.
      if (!existsSync(this.#path)) return undefined
      throw error
    }
  }
}

/** The file of a view, open for reading. */
class ViewFile {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly checkpoint: StatementSync
  /** One statement, so that position and count are of one moment. */
  readonly counted: StatementSync
  readonly document: StatementSync

  constructor(db: DatabaseSync) {
    this.#db = db
    this.checkpoint = db.prepare('SELECT position, revision FROM checkpoint')
    this.counted = db.prepare(
      `SELECT position, revision, (SELECT count(*) FROM (SELECT 1 FROM parked LIMIT ${MOST_COUNTED})) AS parked FROM checkpoint`,
    )
    this.document = db.prepare('SELECT document, checksum FROM documents WHERE key = ?')
  }

  position(): Position {
    return Number(this.checkpoint.get()?.position ?? 0)
  }

  lacksIndex(field: string): boolean {
    return lacksIndex(this.#db, [field])
  }

  /** How many rows of each status a table has. */
  counts(table: 'parked' | 'effects'): Record<string, number> {
    const rows = this.prepare(`SELECT status, count(*) AS rows FROM ${table} GROUP BY status`).all()
    return Object.fromEntries(rows.map((row) => [String(row.status), Number(row.rows)]))
  }

  /** Runs several reads that all see the same state of the view. */
  atOneMoment<Result>(read: () => Result): Result {
    return atOneMoment(this.#db, read)
  }

  /** A statement, prepared once. */
  prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close()
  }
}
