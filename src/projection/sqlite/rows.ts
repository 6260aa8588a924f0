import { crc32 } from 'node:zlib'
import { parseJson } from '../../kernel/json.ts'
import { assertChecksum } from '../../sqlite/row-checksum.ts'
import type { ParkedEvent, ParkedStatus, RecordedEffect } from '../contract.ts'

/** A row of the table `parked`. */
export interface ParkedRow {
  position: number
  sequence: string
  type: string
  status: ParkedStatus
  attempts: number
  due_at: number
  failures: string
  parked_at: string
}

export function toParked(row: ParkedRow): ParkedEvent {
  return {
    position: row.position,
    sequence: row.sequence,
    type: row.type,
    status: row.status,
    attempts: row.attempts,
    dueAt: row.due_at,
    failures: JSON.parse(row.failures),
    parkedAt: row.parked_at,
  }
}

/** A row of the table `effects`. */
export interface EffectRow {
  idempotency_key: string
  effect: string
  status: 'pending' | 'dead'
  attempts: number
  error: string | null
  failed_at: string | null
}

export function toEffect(row: EffectRow): RecordedEffect {
  return {
    idempotencyKey: row.idempotency_key,
    effect: parseJson(row.effect) as RecordedEffect['effect'],
    status: row.status,
    attempts: row.attempts,
    error: row.error ?? undefined,
    failedAt: row.failed_at ?? undefined,
  }
}

/** A row of the table `documents`. */
export interface DocumentRow {
  key: string
  document: string
  checksum: number
}

/** As `rowChecksum`, without its detours: it is computed for every document that is written. */
export function documentChecksum(key: string, document: string): number {
  return crc32(`${key}\n${document}`)
}

/** @throws CqrsError CQRS_STORE_CORRUPT if the row is not what was written */
export function toDocument({ key, document, checksum }: DocumentRow, path: string): unknown {
  const advice =
    `Build the view anew from the log with "cqrs rebuild", which needs no stop and sends no effect again; then remove ${path} ` +
    'with "cqrs prune".'
  const what = `The document ${JSON.stringify(key)}`
  assertChecksum(checksum, documentChecksum(key, document), what, advice, {
    file: path,
    reason: `the checksum of the document ${JSON.stringify(key)} differs`,
  })
  return parseJson(document)
}
