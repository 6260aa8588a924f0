import type { DatabaseSync } from 'node:sqlite'
import { parseJson } from '../../kernel/json.ts'
import type { Position } from '../../kernel/position.ts'
import type { Discarded, NamedEffect, PlacedDiscard, TakeOverStep } from '../contract.ts'
import { type Duty, positionOf } from '../duty.ts'
import type { EffectTable } from './effect-table.ts'
import { firstRows } from './page.ts'
import { effectColumns } from './rows.ts'
import { BrokenOrder, inOrder } from './view-error.ts'

/** Selects given-up events: given-up effects are recorded in the same table, but only events have a sequence. */
const OF_EVENT = `json_extract(event, '$.sequence') IS NOT NULL`

/** One search in the index for all positions of a page. */
export const DISCARDED_AMONG = `SELECT position, event, discarded_by, reason, discarded_at FROM discarded
  WHERE position BETWEEN ? AND ? AND ${OF_EVENT}`

export const DISCARDED_AFTER = `SELECT rowid AS place, event, discarded_by, reason, discarded_at,
  octet_length(event) AS bytes FROM discarded WHERE rowid > ? AND ${OF_EVENT} ORDER BY rowid`

/** What one generation of a view withholds, leaves to its successor and takes over; see ../duty.ts. */
export class HandoverTables {
  readonly #effects: EffectTable
  readonly #sql: ReturnType<typeof statements>

  constructor(db: DatabaseSync, effects: EffectTable) {
    this.#effects = effects
    this.#sql = statements(db)
  }

  withhold(effects: readonly NamedEffect[]): void {
    for (const effect of effects) {
      this.#sql.withhold.run(positionOf(effect.idempotencyKey), ...effectColumns(effect))
    }
  }

  /**
   * Records that an event was given up, but only once: a generation that goes back in time takes this record over and
   * meets the event again later.
   */
  recordDiscard({ event, by, reason, at }: Discarded): void {
    this.#sql.recordDiscard.run(event.position, JSON.stringify(event), by, reason, at)
  }

  /** A write that changes nothing, so that a synced commit also syncs what was committed before it. */
  touch(): void {
    this.#sql.touch.run()
  }

  duty(among: readonly Position[]): Duty {
    const parked = this.#sql.owing.all(JSON.stringify(among))
    return { position: this.#position(), parked: new Set(parked.map(({ position }) => Number(position))) }
  }

  /** Reads what a generation leaves besides effects, so that any damage is found. */
  check(): void {
    for (const _ of this.#sql.allParked.iterate());
    for (const row of this.#discardedAfter(0)) toDiscarded(row)
  }

  #position(): Position {
    return Number(this.#sql.position.get()?.position)
  }

  /** @param positions in ascending order */
  discardedAmong(positions: readonly Position[]): Discarded[] {
    const [first, last] = [positions[0], positions.at(-1)]
    if (first === undefined || last === undefined) return []
    let wanted: ReadonlySet<Position> | undefined
    const found: Discarded[] = []
    for (const row of this.#sql.discardedAmong.iterate(first, last)) {
      wanted ??= new Set(positions)
      if (!wanted.has(Number(row.position))) continue
      const discarded = toDiscarded(row)
      // In a damaged page of the index, rows are found under wrong positions.
      if (wanted.has(discarded.event.position)) found.push(discarded)
    }
    return found
  }

  discardedAfter(place: number, limit: number, maxBytes: number): PlacedDiscard[] {
    const rows = firstRows(this.#discardedAfter(place), limit, maxBytes)
    return rows.map((row) => ({ ...toDiscarded(row), place: Number(row.place) }))
  }

  #discardedAfter(place: number): Iterable<Record<string, unknown>> {
    return inOrder('discarded', this.#sql.discardedAfter.iterate(place), place, (row) => Number(row.place))
  }

  parkedAfter(position: Position, limit: number): Position[] {
    const positions = this.#sql.parkedAfter.all(position, limit).map((row) => Number(row.position))
    return [...inOrder('parked', positions, position, (each) => each)]
  }

  withheldAfter(position: Position, limit: number, maxBytes: number): Position[] {
    const found = this.#sql.withheldAfter.iterate(position)
    const rows = inOrder('withheld', found, position, (row) => Number(row.position))
    return firstRows(rows, limit, maxBytes).map((row) => Number(row.position))
  }

  dropWithheld(positions: readonly number[]): void {
    for (const position of positions) this.#sql.drop.run(position)
  }

  takeOver({
    voided = [],
    effects = [],
    withheld,
    parked,
    discarded = [],
    now = 0,
    swap,
  }: TakeOverStep): void {
    const sql = this.#sql
    this.#effects.sent(voided)
    for (const effect of effects) this.#effects.putFirst(effect)
    for (const position of withheld?.positions ?? []) {
      if (withheld?.owed.has(position)) sql.due.run(position)
      sql.drop.run(position)
    }
    for (const position of parked?.positions ?? []) {
      sql.silence.run(Number(!parked?.owed.has(position)), position)
    }
    for (const one of discarded) this.#giveUp(one, now)
    sql.revise.run()
    if (swap === undefined) return
    if (sql.anyWithheld.get()) throw new BrokenOrder('withheld')
    sql.markTakenOver.run(swap)
  }

  /** An event that this generation has applied stays applied; one that it has not reached yet will be skipped. */
  #giveUp(discarded: Discarded, now: number): void {
    const sql = this.#sql
    const { event } = discarded
    const settled = sql.settle.get(event.position)
    if (!settled && event.position <= this.#position()) return
    this.recordDiscard(discarded)
    // A sequence whose head was given up goes on with what waited behind it.
    if (settled) sql.nextInLine.run(now, settled.sequence as string)
  }

  tookOver(): number {
    return Number(this.#sql.tookOver.get()?.took_over)
  }
}

function toDiscarded({ event, discarded_by, reason, discarded_at }: Record<string, unknown>): Discarded {
  return {
    event: parseJson(String(event)) as Discarded['event'],
    by: String(discarded_by),
    reason: String(reason),
    at: String(discarded_at),
  }
}

function statements(db: DatabaseSync) {
  return {
    withhold: db.prepare(
      'INSERT INTO withheld VALUES (?, ?, ?, ?) ON CONFLICT (position, idempotency_key) DO NOTHING',
    ),
    withheldAfter: db.prepare(`SELECT position, sum(octet_length(effect)) AS bytes FROM withheld
      WHERE position > ? GROUP BY position ORDER BY position`),
    // A damaged row might no longer hold text; it becomes an effect all the same.
    due: db.prepare(`INSERT INTO effects (idempotency_key, effect, checksum, status)
      SELECT coalesce(CAST(idempotency_key AS TEXT), ''), coalesce(CAST(effect AS TEXT), ''), iif(typeof(checksum) = 'integer', checksum, NULL), 'pending'
      FROM withheld WHERE position = ? ORDER BY length(idempotency_key), idempotency_key
      ON CONFLICT (idempotency_key) DO NOTHING`),
    /** All withheld effects have been decided on by now. If one is left, a damaged page has misled the searches. */
    anyWithheld: db.prepare('SELECT 1 FROM withheld LIMIT 1'),
    drop: db.prepare('DELETE FROM withheld WHERE position = ?'),
    touch: db.prepare('UPDATE checkpoint SET took_over = took_over'),
    position: db.prepare('SELECT position FROM checkpoint'),
    owing: db.prepare(`SELECT position FROM parked
      WHERE position IN (SELECT value FROM json_each(?)) AND silent = 0`),
    allParked: db.prepare('SELECT position FROM parked WHERE silent = 0'),
    parkedAfter: db.prepare('SELECT position FROM parked WHERE position > ? ORDER BY position LIMIT ?'),
    silence: db.prepare('UPDATE parked SET silent = ? WHERE position = ?'),
    settle: db.prepare('DELETE FROM parked WHERE position = ? RETURNING sequence'),
    discardedAmong: db.prepare(DISCARDED_AMONG),
    discardedAfter: db.prepare(DISCARDED_AFTER),
    recordDiscard: db.prepare(`INSERT INTO discarded SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (
      SELECT 1 FROM discarded WHERE position = ?1 AND ${OF_EVENT})`),
    nextInLine: db.prepare(`UPDATE parked SET status = 'retrying', due_at = ? WHERE status = 'waiting'
      AND position = (SELECT min(position) FROM parked WHERE sequence = ?)`),
    revise: db.prepare('UPDATE checkpoint SET revision = revision + 1'),
    markTakenOver: db.prepare('UPDATE checkpoint SET took_over = ?'),
    tookOver: db.prepare('SELECT took_over FROM checkpoint'),
  }
}
