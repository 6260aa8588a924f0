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
    effect: JSON.parse(row.effect),
    status: row.status,
    attempts: row.attempts,
    error: row.error ?? undefined,
    failedAt: row.failed_at ?? undefined,
  }
}
