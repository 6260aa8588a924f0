import type { DatabaseSync } from 'node:sqlite'
import type { Position } from '../../kernel/position.ts'
import type { ParkedCounts, ParkedEvent, ParkedStatus } from '../contract.ts'
import { OtherRow } from './view-error.ts'

/** The parked events of one view; see the methods of `ViewStore` that they serve. */
export class ParkedTable {
  readonly #sql: ReturnType<typeof statements>

  constructor(db: DatabaseSync) {
    this.#sql = statements(db)
  }

  /** Parks an event, or changes the parking of one. */
  put({ position, sequence, type, status, attempts, dueAt, failures, parkedAt }: ParkedEvent): void {
    const text = JSON.stringify(failures)
    this.#sql.put.run(position, sequence, type, status, attempts, dueAt, text, parkedAt)
  }

  settle(position: Position): void {
    this.#sql.settle.run(position)
  }

  /** Whether the effects of a parked event were settled in the previous generation; see ../duty.ts. */
  isSilent(position: Position): boolean {
    return this.#sql.silent.get(position) !== undefined
  }

  hasAny(): boolean {
    return this.#sql.any.get() !== undefined
  }

  sequencesAmong(among: Iterable<string>): Set<string> {
    const parked = new Set<string>()
    for (const sequence of new Set(among)) {
      const found = this.#sql.inSequence.get(sequence)
      if (found && found.sequence !== sequence) throw new OtherRow('parked', sequence)
      if (found) parked.add(sequence)
    }
    return parked
  }

  due(now: number, limit: number): ParkedEvent[] {
    return this.#sql.due.all(now, limit).map(toEvent)
  }

  notDueAfter(latest: number): void {
    this.#sql.notDueAfter.run(latest, latest)
  }

  nextDueAt(): number | undefined {
    return (this.#sql.nextDue.get()?.due_at as number | null | undefined) ?? undefined
  }

  sequence(sequence: string, limit: number): ParkedEvent[] {
    const events = this.#sql.sequence.all(sequence, limit).map(toEvent)
    if (events.some((event) => event.sequence !== sequence)) throw new OtherRow('parked', sequence)
    return events
  }

  letters(after: Position, limit: number): { event: ParkedEvent; waiting: number }[] {
    const rows = this.#sql.letters.all(after, limit)
    return rows.map((row) => ({ event: toEvent(row), waiting: Number(row.waiting) }))
  }

  find(position: Position): ParkedEvent | undefined {
    const row = this.#sql.find.get(position)
    return row && toEvent(row)
  }

  counts(): ParkedCounts {
    const found = this.#sql.counts.all().map((row) => [String(row.status), Number(row.events)])
    return { retrying: 0, dead: 0, waiting: 0, ...Object.fromEntries(found) }
  }
}

function toEvent(row: Record<string, unknown>): ParkedEvent {
  return {
    position: row.position as number,
    sequence: row.sequence as string,
    type: row.type as string,
    status: row.status as ParkedStatus,
    attempts: row.attempts as number,
    dueAt: row.due_at as number,
    failures: JSON.parse(row.failures as string),
    parkedAt: row.parked_at as string,
  }
}

/*
 * These use the index of due times. SQLite would choose the index of the status instead, and would then read and sort
 * all events that are retrying, with each batch and each sweep.
 */
const RETRYING = `parked INDEXED BY parked_due`
export const DUE = `SELECT * FROM ${RETRYING} WHERE status = 'retrying' AND due_at <= ? ORDER BY due_at LIMIT ?`
export const NOT_DUE_AFTER = `UPDATE ${RETRYING} SET due_at = ? WHERE status = 'retrying' AND due_at > ?`
export const NEXT_DUE = `SELECT min(due_at) AS due_at FROM ${RETRYING} WHERE status = 'retrying'`

function statements(db: DatabaseSync) {
  return {
    put: db.prepare(`INSERT INTO parked (position, sequence, type, status, attempts, due_at, failures, parked_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (position) DO UPDATE SET status = excluded.status,
      attempts = excluded.attempts, due_at = excluded.due_at, failures = excluded.failures`),
    settle: db.prepare('DELETE FROM parked WHERE position = ?'),
    silent: db.prepare('SELECT 1 FROM parked WHERE position = ? AND silent = 1'),
    find: db.prepare('SELECT * FROM parked WHERE position = ?'),
    any: db.prepare('SELECT 1 FROM parked LIMIT 1'),
    inSequence: db.prepare('SELECT sequence FROM parked WHERE sequence = ? LIMIT 1'),
    sequence: db.prepare('SELECT * FROM parked WHERE sequence = ? ORDER BY position LIMIT ?'),
    due: db.prepare(DUE),
    notDueAfter: db.prepare(NOT_DUE_AFTER),
    nextDue: db.prepare(NEXT_DUE),
    letters: db.prepare(`SELECT parked.*, (
        SELECT count(*) FROM parked AS behind
        WHERE behind.sequence = parked.sequence AND behind.position > parked.position
      ) AS waiting
      FROM parked WHERE status <> 'waiting' AND position > ? ORDER BY position LIMIT ?`),
    counts: db.prepare('SELECT status, count(*) AS events FROM parked GROUP BY status'),
  }
}
