import type { DatabaseSync } from 'node:sqlite'
import type { EffectPlace, NamedEffect, PlacedEffect, RecordedEffect, Redriven } from '../contract.ts'
import { positionOf } from '../duty.ts'
import { firstRows } from './page.ts'
import { type EffectRow, effectColumns, toEffect } from './rows.ts'
import { EFFECT_NUMBER, EFFECT_POSITION } from './schema.ts'
import { BrokenOrder, inOrder, OtherRow } from './view-error.ts'

/** How many dead effects are made pending at once. */
const REDRIVEN = 1_000

/**
 * The effects of one view: pending until they are sent and forgotten, dead when they failed too often. In a damaged
 * page SQLite can find another row for a key, so every change makes sure that it does not hit another effect.
 */
export class EffectTable {
  readonly #sql: ReturnType<typeof statements>

  constructor(db: DatabaseSync) {
    this.#sql = statements(db)
  }

  /** An effect that is recorded already, because its event was applied before, stays as it is. */
  add(effect: NamedEffect): void {
    this.#sql.add.run(...effectColumns(effect))
  }

  /** Puts an effect of another generation before all that are here, with the status that it has there. */
  putFirst(effect: RecordedEffect): void {
    const { idempotencyKey, status, attempts, error, failedAt } = effect
    this.#sql.remove.run(idempotencyKey)
    const row = [...effectColumns(effect), status, attempts, error ?? null, failedAt ?? null] as const
    if (this.#sql.putFirst.run(...row).changes === 0) throw new OtherRow('effects', idempotencyKey)
  }

  /** The effects before a place, the last one first. */
  before(place: number | undefined, limit: number, maxBytes: number): PlacedEffect[] {
    const rows = this.#before(place)
    return firstRows(rows, limit, maxBytes).map((row) => ({
      ...toEffect(row),
      place: row.id,
      bytes: row.bytes,
    }))
  }

  #before(place = Number.MAX_SAFE_INTEGER): Iterable<PlacedRow> {
    const rows = this.#sql.before.iterate(place) as Iterable<PlacedRow>
    return inOrder('effects', rows, -place, ({ id }) => -id)
  }

  /**
   * @throws BrokenOrder if there are more than `count`: then whoever has read all of them page by page has missed some
   */
  assertNoMoreThan(count: number): void {
    if (Number(this.#sql.count.get()?.count) > count) throw new BrokenOrder('effects')
  }

  /** Reads every row, so that any damage is found. */
  check(): void {
    let count = 0
    for (const row of this.#before()) {
      toEffect(row)
      count += 1
    }
    this.assertNoMoreThan(count)
  }

  pending(limit: number, maxBytes: number): RecordedEffect[] {
    const rows = this.#sql.pending.iterate() as Iterable<PlacedRow>
    return firstRows(rows, limit, maxBytes).map(toEffect)
  }

  dead(
    limit: number,
    idempotencyKey?: string,
    after?: EffectPlace,
    maxBytes = Number.POSITIVE_INFINITY,
  ): RecordedEffect[] {
    if (idempotencyKey === undefined) {
      const rows = this.#sql.dead.iterate(...placeAfter(after), limit) as Iterable<PlacedRow>
      return firstRows(rows, limit, maxBytes).map(toEffect)
    }
    const row =
      this.#sql.deadByKey.get(idempotencyKey) ??
      this.#sql.deadByPlace.get(positionOf(idempotencyKey), idempotencyKey)
    return row ? [toEffect(row as unknown as EffectRow)] : []
  }

  sent(idempotencyKeys: readonly string[]): void {
    for (const key of idempotencyKeys) this.#changed(key, this.#sql.remove.run(key))
  }

  stopped(idempotencyKey: string, times: number): void {
    this.#changed(idempotencyKey, this.#sql.stop.run(idempotencyKey, times))
  }

  failed(
    idempotencyKey: string,
    { attempts, error, at }: { attempts: number; error: string; at: string },
  ): void {
    this.#changed(idempotencyKey, this.#sql.fail.run(idempotencyKey, attempts, error, at))
  }

  /** Makes one dead effect pending, or the next ones after a place; see {@link Redriven}. */
  redrive(idempotencyKey: string | undefined, after: EffectPlace | undefined): Redriven {
    const found =
      idempotencyKey === undefined
        ? this.#sql.nextDead.all(...placeAfter(after), REDRIVEN)
        : this.dead(1, idempotencyKey).map(() => ({ idempotency_key: idempotencyKey }))
    const keys = found.map((row) => String(row.idempotency_key))
    for (const key of keys) this.#changed(key, this.#sql.redrive.run(key))
    const last = keys.length < REDRIVEN ? undefined : keys.at(-1)?.split(':').slice(-2).map(Number)
    return { redriven: keys.length, last: last && { position: Number(last[0]), n: Number(last[1]) } }
  }

  /** Removes a dead effect and records who discarded it and why. @returns whether it was dead */
  discard(idempotencyKey: string, { by, reason, at }: { by: string; reason: string; at: string }): boolean {
    const [effect] = this.dead(1, idempotencyKey)
    if (!effect) return false
    const position = positionOf(idempotencyKey)
    this.#sql.recordDiscard.run(position, JSON.stringify(effect), by, reason, at)
    this.#changed(idempotencyKey, this.#sql.remove.run(idempotencyKey))
    return true
  }

  /** @throws OtherRow if nothing was changed although the effect is there */
  #changed(idempotencyKey: string, { changes }: { readonly changes: number | bigint }): void {
    if (Number(changes) === 0 && this.#sql.isThere.get(idempotencyKey))
      throw new OtherRow('effects', idempotencyKey)
  }
}

interface PlacedRow extends EffectRow {
  id: number
  bytes: number
}

function placeAfter({ position, n }: EffectPlace = { position: 0, n: 0 }): [number, number, number] {
  return [position, position, n]
}

/**
 * Dead effects after a place, in order; also those whose status is damaged, so that they can be redriven. The condition
 * on the status is that of the index `effects_dead`. If it were `status = 'dead'`, SQLite would prefer the index on the
 * status.
 */
const DEAD_AFTER = `FROM effects WHERE status <> 'pending' AND ${EFFECT_POSITION} >= ?
  AND (${EFFECT_POSITION} > ? OR ${EFFECT_NUMBER} > ?) ORDER BY ${EFFECT_POSITION}, ${EFFECT_NUMBER} LIMIT ?`

/** Finds a dead effect in the index of places, for the case that a page of the index of keys is damaged. */
export const DEAD_BY_PLACE = `SELECT * FROM effects
  WHERE status <> 'pending' AND ${EFFECT_POSITION} = ? AND +idempotency_key = ?`

/**
 * The row of a key. The subquery compares the key in the row to which the index leads; otherwise SQLite would take the
 * key from the index again.
 */
const ITSELF = `idempotency_key = ?1
  AND (SELECT itself.idempotency_key FROM effects AS itself WHERE itself.id = effects.id) = ?1`

function statements(db: DatabaseSync) {
  return {
    add: db.prepare(
      `INSERT INTO effects (idempotency_key, effect, checksum, status) VALUES (?, ?, ?, 'pending')
        ON CONFLICT (idempotency_key) DO NOTHING`,
    ),
    // Ids below zero are valid, too.
    putFirst: db.prepare(`INSERT INTO effects
      (id, idempotency_key, effect, checksum, status, attempts, error, failed_at)
      VALUES ((SELECT coalesce(min(id), 1) - 1 FROM effects), ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (idempotency_key) DO NOTHING`),
    before: db.prepare(`SELECT *, octet_length(effect) AS bytes FROM effects WHERE id < ? ORDER BY id DESC`),
    /** Counted in an index, which is fast. */
    count: db.prepare('SELECT count(*) AS count FROM effects'),
    pending: db.prepare(
      `SELECT *, octet_length(effect) AS bytes FROM effects WHERE status = 'pending' ORDER BY id`,
    ),
    dead: db.prepare(`SELECT *, octet_length(effect) AS bytes ${DEAD_AFTER}`),
    nextDead: db.prepare(`SELECT idempotency_key ${DEAD_AFTER}`),
    deadByKey: db.prepare(`SELECT * FROM effects WHERE status <> 'pending' AND ${ITSELF}`),
    deadByPlace: db.prepare(DEAD_BY_PLACE),
    remove: db.prepare(`DELETE FROM effects WHERE ${ITSELF}`),
    stop: db.prepare(`UPDATE effects SET attempts = ?2 WHERE ${ITSELF}`),
    fail: db.prepare(
      `UPDATE effects SET status = 'dead', attempts = ?2, error = ?3, failed_at = ?4 WHERE ${ITSELF}`,
    ),
    /** Searched without the index. */
    isThere: db.prepare('SELECT 1 FROM effects WHERE +idempotency_key = ?'),
    redrive: db.prepare(
      `UPDATE effects SET status = 'pending', attempts = 0 WHERE status <> 'pending' AND ${ITSELF}`,
    ),
    recordDiscard: db.prepare('INSERT INTO discarded VALUES (?, ?, ?, ?, ?)'),
  }
}
