import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Position } from '../../kernel/position.ts'

/** What is read of each event. A row is an array. */
export interface RowShape<Row> {
  /** SQL expressions, in the order of the array. */
  readonly columns: readonly string[]
  position(row: Row): Position
  /** How many bytes the row counts towards the limit of a page. */
  bytes(row: Row): number
}

/** The rows of a page, in order and without a gap. */
export interface Rows<Row> {
  readonly rows: readonly Row[]
  /** The first position that the log lacks, if the page ends there. */
  readonly missing?: Position
}

/**
 * Reads pages of the log that are bounded in bytes. The size of a row is only known after reading it, but reading rows
 * one by one takes a quarter longer than reading all of them with one query. So one query reads all rows except those
 * larger than an even share of the page (`bytes` divided by the number of rows): the rows it reads cannot exceed
 * `bytes` together. SQLite knows the size of a value without reading it, so this condition costs nothing. Only if some
 * rows were left out are those read one by one, each in its place, until `bytes` is exceeded.
 */
export class PageReader<Row> {
  readonly #shape: RowShape<Row>
  readonly #small: StatementSync
  readonly #one: StatementSync

  constructor(db: DatabaseSync, shape: RowShape<Row>) {
    this.#shape = shape
    const select = `SELECT ${shape.columns.join(', ')} FROM events`
    this.#small = db.prepare(
      `${select} WHERE position > ? AND position <= ? AND octet_length(data) <= ? ORDER BY position`,
    )
    this.#one = db.prepare(`${select} WHERE position = ?`)
    for (const statement of [this.#small, this.#one]) statement.setReturnArrays(true)
  }

  /** The rows after `after`, up to `through` or to the first row with which they exceed `bytes`. */
  read(after: Position, through: Position, bytes: number): Rows<Row> {
    const count = through - after
    const small = this.#small.all(after, through, Math.floor(bytes / count)) as Row[]
    return small.length === count ? { rows: small } : this.#withLarge(small, after, through, bytes)
  }

  #withLarge(small: readonly Row[], after: Position, through: Position, bytes: number): Rows<Row> {
    const rows: Row[] = []
    let taken = 0
    for (let position = after + 1, held = 0; position <= through && held <= bytes; position += 1) {
      const next = small[taken]
      const isNext = next !== undefined && this.#shape.position(next) === position
      if (isNext) taken += 1
      const row = isNext ? next : (this.#one.get(position) as Row | undefined)
      if (row === undefined) return { rows, missing: position }
      rows.push(row)
      held += this.#shape.bytes(row)
    }
    return { rows }
  }
}
