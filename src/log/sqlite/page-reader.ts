import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Position } from '../../kernel/position.ts'

/** What is read of an event, as an array. */
export interface RowShape<Row> {
  /** In SQL, in the order of the array. */
  readonly columns: readonly string[]
  position(row: Row): Position
  /** What it takes of the bytes of a page. */
  bytes(row: Row): number
}

/** The rows of a page, in order and without a gap. */
export interface Rows<Row> {
  readonly rows: readonly Row[]
  /** The first position that the log lacks, if the page ends there. */
  readonly missing?: Position
}

/**
 * Reads pages of the log that are bounded in bytes. How large rows are is known when they have been read, and to read them
 * one by one takes a quarter longer than all in one go. So they are read in one go, but for those that are larger than an even
 * share of the page: the others cannot pass its bytes together. SQLite knows the size of a value without reading it, so this
 * costs nothing. Only where some are left out they are read by themselves, in their place, until the bytes are passed.
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

  /** The rows behind `after`, up to `through` or to the first one with which they pass `bytes`. */
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
