import type { DatabaseSync } from 'node:sqlite'
import { parseJson } from '../../kernel/json.ts'
import type { Discarded, NamedEffect } from '../contract.ts'
import { type Duty, positionOf, type TakeOver } from '../duty.ts'
import type { EffectTable } from './effect-table.ts'
import { effectColumns, type NamedEffectRow, toNamedEffect } from './rows.ts'

/**
 * Records that an event was given up: once, though a generation that goes back in time takes the record over and meets the
 * event afterwards.
 */
export const RECORD_DISCARD = `INSERT INTO discarded SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (
  SELECT 1 FROM discarded WHERE position = ?1 AND json_extract(event, '$.sequence') IS NOT NULL)`

/** What one generation of a view keeps back, leaves and takes over; see ../duty.ts. */
export class HandoverTables {
  readonly #effects: EffectTable
  readonly #sql: ReturnType<typeof statements>
  /** Rows are added, and never changed: those that were read, up to the last one. */
  #discarded: { readonly last: unknown; readonly all: readonly Discarded[] } = { last: null, all: [] }

  constructor(db: DatabaseSync, effects: EffectTable) {
    this.#effects = effects
    this.#sql = statements(db)
  }

  withhold(effects: readonly NamedEffect[]): void {
    for (const effect of effects) {
      this.#sql.withhold.run(positionOf(effect.idempotencyKey), ...effectColumns(effect))
    }
  }

  /** Changes nothing, so that a synced commit syncs what was committed before it. */
  touch(): void {
    this.#sql.touch.run()
  }

  duty(): Duty {
    return {
      position: Number(this.#sql.position.get()?.position),
      parked: new Set(this.#sql.owing.all().map(({ position }) => Number(position))),
    }
  }

  /** The same array as before if nothing was added. */
  discarded(): readonly Discarded[] {
    const last = this.#sql.lastDiscard.get()?.last
    if (last === this.#discarded.last) return this.#discarded.all
    const all = this.#sql.discarded.all().map(({ event, discarded_by, reason, discarded_at }) => ({
      event: parseJson(String(event)) as Discarded['event'],
      by: String(discarded_by),
      reason: String(reason),
      at: String(discarded_at),
    }))
    this.#discarded = { last, all }
    return all
  }

  undecided() {
    const positions = (rows: readonly Record<string, unknown>[]) =>
      rows.map(({ position }) => Number(position))
    return {
      parked: positions(this.#sql.parked.all()),
      withheld: positions(this.#sql.withheldPositions.all()),
    }
  }

  dropWithheld(positions: readonly number[]): void {
    for (const position of positions) this.#sql.drop.run(position)
  }

  takeOver({ swap, owed, effects, discarded, now }: TakeOver): boolean {
    if (this.tookOver() >= swap) return false
    const sql = this.#sql
    const left = new Set(effects.map(({ idempotencyKey }) => idempotencyKey))
    const own = this.#effects
      .all()
      .filter(
        ({ idempotencyKey: key, status }) =>
          status === 'pending' && owed.has(positionOf(key)) && !left.has(key),
      )
    const place = ({ idempotencyKey }: NamedEffect) => positionOf(idempotencyKey)
    this.#effects.replace([...effects, ...own].sort((one, other) => place(one) - place(other)))
    for (const row of sql.withheld.all()) {
      if (owed.has(Number(row.position))) this.#effects.add(toNamedEffect(row as unknown as NamedEffectRow))
    }
    sql.dropAll.run()
    for (const { position } of sql.parked.all()) {
      sql.silence.run(Number(!owed.has(Number(position))), Number(position))
    }
    const { position } = this.duty()
    for (const { event, by, reason, at } of discarded) {
      // What it has applied stays applied; what it has yet to meet it will pass over.
      if (sql.settle.run(event.position).changes === 0 && event.position <= position) continue
      sql.recordDiscard.run(event.position, JSON.stringify(event), by, reason, at)
    }
    sql.nextInLine.run(now)
    sql.markTakenOver.run(swap)
    return true
  }

  tookOver(): number {
    return Number(this.#sql.tookOver.get()?.took_over)
  }
}

function statements(db: DatabaseSync) {
  return {
    withhold: db.prepare(
      'INSERT INTO withheld VALUES (?, ?, ?, ?) ON CONFLICT (position, idempotency_key) DO NOTHING',
    ),
    withheld: db.prepare(
      'SELECT * FROM withheld ORDER BY position, length(idempotency_key), idempotency_key',
    ),
    withheldPositions: db.prepare('SELECT DISTINCT position FROM withheld'),
    drop: db.prepare('DELETE FROM withheld WHERE position = ?'),
    dropAll: db.prepare('DELETE FROM withheld'),
    touch: db.prepare('UPDATE checkpoint SET took_over = took_over'),
    position: db.prepare('SELECT position FROM checkpoint'),
    owing: db.prepare('SELECT position FROM parked WHERE silent = 0'),
    parked: db.prepare('SELECT position FROM parked'),
    silence: db.prepare('UPDATE parked SET silent = ? WHERE position = ?'),
    settle: db.prepare('DELETE FROM parked WHERE position = ?'),
    /** Given-up effects are recorded in the same table; events have a sequence. */
    discarded: db.prepare(`SELECT event, discarded_by, reason, discarded_at FROM discarded
      WHERE json_extract(event, '$.sequence') IS NOT NULL ORDER BY position`),
    lastDiscard: db.prepare('SELECT max(rowid) AS last FROM discarded'),
    recordDiscard: db.prepare(RECORD_DISCARD),
    /** A sequence whose head was given up goes on with what waited behind it. */
    nextInLine: db.prepare(`UPDATE parked SET status = 'retrying', due_at = ? WHERE status = 'waiting'
      AND NOT EXISTS (SELECT 1 FROM parked AS before
        WHERE before.sequence = parked.sequence AND before.position < parked.position)`),
    markTakenOver: db.prepare('UPDATE checkpoint SET took_over = ?, revision = revision + 1'),
    tookOver: db.prepare('SELECT took_over FROM checkpoint'),
  }
}
