import { hash } from 'node:crypto'
import type { RecordedEvent } from '../kernel/event.ts'

/** The digest of a view that has processed nothing. */
export const EMPTY_DIGEST = '0'.repeat(64)

/**
 * Extends a running digest by events: for each, SHA-256 over the digest so far, the event's position
 * and its id. It depends on exactly which events were processed and in which order, not on how they
 * were batched, so that it can be computed again from the log.
 */
export function extendDigest(
  digest: string,
  events: readonly Pick<RecordedEvent, 'position' | 'id'>[],
): string {
  let extended = digest
  for (const { position, id } of events) extended = hash('sha256', `${extended}:${position}:${id}`)
  return extended
}

/** How many events lie between two digest marks. With the marks, an audit finds where a difference lies. */
const MARK_EVERY = 1_000

/** Whether a change takes a view past a point at which a mark is stored. */
export function passesMark(processedBefore: number, processedAfter: number): boolean {
  return Math.floor(processedAfter / MARK_EVERY) > Math.floor(processedBefore / MARK_EVERY)
}
