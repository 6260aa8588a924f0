import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { QueueCounts } from '../contract.ts'

/** A queue as the writer thread knows it. */
export interface QueueRow extends QueueCounts {
  id: number
  name: string
  definition: string
  paused: boolean
  tail: number
}

/**
 * The queues with their counts. They are kept in memory and written once for each transaction that changed them. So a
 * thousand messages in one transaction cost one small update, and rows are never counted.
 */
export class QueueTable {
  readonly #db: DatabaseSync
  readonly #rows = new Map<string, QueueRow>()
  readonly #changed = new Set<QueueRow>()
  readonly #update: StatementSync

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#update = db.prepare(
      'UPDATE queues SET definition = ?, paused = ?, tail = ?, depth = ?, dead = ? WHERE id = ?',
    )
    this.load()
  }

  /** Reads what is stored, and forgets what a failed transaction had changed. */
  load(): void {
    this.#rows.clear()
    this.#changed.clear()
    for (const row of this.#db.prepare('SELECT * FROM queues ORDER BY id').all()) {
      const found = { ...row, paused: row.paused === 1 } as unknown as QueueRow
      this.#rows.set(found.name, found)
    }
  }

  get(name: string): QueueRow | undefined {
    return this.#rows.get(name)
  }

  /** The queues sorted by name; with `only`, those of these names that exist. */
  all(only?: readonly string[]): QueueRow[] {
    const rows = only ? only.flatMap((name) => this.#rows.get(name) ?? []) : [...this.#rows.values()]
    return rows.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  define(name: string, definition: string): void {
    const row = this.#rows.get(name)
    if (row) {
      this.change(row, { definition })
      return
    }
    const { lastInsertRowid } = this.#db
      .prepare('INSERT INTO queues (name, definition) VALUES (?, ?)')
      .run(name, definition)
    const id = Number(lastInsertRowid)
    this.#rows.set(name, { id, name, definition, paused: false, tail: 0, depth: 0, dead: 0 })
  }

  change(row: QueueRow, values: Partial<QueueRow>): void {
    Object.assign(row, values)
    this.#changed.add(row)
  }

  remove(row: QueueRow): void {
    this.#db.prepare('DELETE FROM queues WHERE id = ?').run(row.id)
    this.#rows.delete(row.name)
    this.#changed.delete(row)
  }

  /** Writes what this transaction changed. */
  prepare(): void {
    for (const row of this.#changed) {
      this.#update.run(row.definition, row.paused ? 1 : 0, row.tail, row.depth, row.dead, row.id)
    }
    this.#changed.clear()
  }
}
