import { parseJson } from '../../kernel/json.ts'
import { assertChecksum, rowChecksum } from '../../sqlite/row-checksum.ts'
import type { NamedEffect, RecordedEffect } from '../contract.ts'

/** What the tables `effects` and `withheld` have in common. */
export interface NamedEffectRow {
  idempotency_key: string
  effect: string
  checksum: number | null
}

/** A row of the table `effects`. */
export interface EffectRow extends NamedEffectRow {
  status: 'pending' | 'dead'
  attempts: number
  error: string | null
  failed_at: string | null
}

export function effectChecksum(idempotencyKey: string, effect: string): number {
  return rowChecksum(idempotencyKey, effect)
}

/** The columns of an effect, in the order of {@link NamedEffectRow}. A damaged effect stays marked as damaged. */
export function effectColumns({
  idempotencyKey,
  effect,
  damaged,
}: NamedEffect): [string, string, number | null] {
  const text = JSON.stringify(effect)
  return [idempotencyKey, text, damaged ? null : effectChecksum(idempotencyKey, text)]
}

/** The effect in a row, marked as damaged if it is not what was written. */
export function toNamedEffect({ idempotency_key, effect, checksum }: NamedEffectRow): NamedEffect {
  // In a damaged row, the key might no longer be text.
  const idempotencyKey = String(idempotency_key)
  if (checksum === effectChecksum(idempotencyKey, effect)) {
    return { idempotencyKey, effect: parseJson(effect) as NamedEffect['effect'] }
  }
  return {
    idempotencyKey,
    effect: { kind: 'call', functionId: '(damaged)', data: { stored: effect } },
    damaged: true,
  }
}

/**
 * The effect in a row, with its status. The status has no checksum. If it is damaged, the effect counts as pending: it
 * is recorded, so it may still be owed, and sending it once more is allowed.
 */
export function toEffect(row: EffectRow): RecordedEffect {
  return {
    ...toNamedEffect(row),
    status: row.status === 'dead' ? 'dead' : 'pending',
    attempts: Number.isSafeInteger(row.attempts) ? row.attempts : 0,
    error: textOrNothing(row.error),
    failedAt: textOrNothing(row.failed_at),
  }
}

function textOrNothing(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** A row of the table `documents`. */
export interface DocumentRow {
  key: string
  document: string
  checksum: number
}

export function documentChecksum(key: string, document: string): number {
  return rowChecksum(key, document)
}

/** @throws CqrsError CQRS_STORE_CORRUPT if the row is not what was written */
export function toDocument({ key, document, checksum }: DocumentRow, path: string): unknown {
  const advice =
    `Rebuild the view from the log with "cqrs rebuild", which needs no stop and sends no effect again; then remove ${path} ` +
    'with "cqrs prune".'
  const what = `The document ${JSON.stringify(key)}`
  assertChecksum(checksum, documentChecksum(key, document), what, advice, {
    file: path,
    reason: `the checksum of the document ${JSON.stringify(key)} differs`,
  })
  return parseJson(document)
}
