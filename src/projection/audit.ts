import { setImmediate as nextTurn } from 'node:timers/promises'
import { isCqrsError } from '../kernel/errors.ts'
import type { RecordedEvent } from '../kernel/event.ts'
import { isIn, type Partition } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'
import type { EventLog } from '../log/contract.ts'
import { EMPTY_DIGEST, extendDigest } from './digest.ts'

/** A position that a view has passed, with its digest there. */
export interface DigestMark {
  readonly position: Position
  readonly processed: number
  readonly digest: string
}

/** What an audit has recomputed so far, from the first event on. */
export interface AuditProgress extends DigestMark {
  /** The position of the last mark of the view that agreed with what was recomputed. */
  readonly agreed: Position
  /**
   * How many events of each type that the app does not define were found so far; no view contains them. Left out if
   * there are none.
   */
  readonly undefinedTypes?: Readonly<Record<string, number>> | undefined
}

/** Where an audit begins. */
export const AUDIT_START: AuditProgress = { position: 0, processed: 0, digest: EMPTY_DIGEST, agreed: 0 }

/** The first difference between a log and what a view says it has processed. */
export interface AuditFinding {
  readonly kind: 'missing-from-log' | 'changed-in-log' | 'differs'
  /** Everything up to here agrees. */
  readonly after: Position
  /** The difference lies at this position or before it. */
  readonly upTo: Position
  readonly message: string
  /**
   * As {@link AuditProgress.undefinedTypes}, up to the difference: if the view was made by code that handled such a type,
   * they are the difference.
   */
  readonly undefinedTypes?: Readonly<Record<string, number>> | undefined
}

/** What one stretch of an audit found. */
export type AuditStep =
  | { readonly kind: 'agrees'; readonly progress: AuditProgress }
  | { readonly kind: 'found'; readonly finding: AuditFinding }

export interface AuditRequest {
  readonly log: EventLog
  /** The types that the projection has handlers for. */
  readonly types: ReadonlySet<string>
  /** Whether the app defines a type of event. Default: it defines all of them. */
  readonly isDefined?: (type: string) => boolean
  /** The partition of the view; all streams if left out. */
  readonly partition?: Partition
  /** What was recomputed so far. */
  readonly progress: AuditProgress
  /** The marks of the view beyond `progress`, by position; the last one is its checkpoint. */
  readonly marks: readonly DigestMark[]
  /** How many positions to look at. */
  readonly limit: number
}

/** How many positions are read at once. */
const PAGE = 1_000

/** The most types that an audit reports among those that the app does not define. */
const UNDEFINED_TYPES = 20

/**
 * Recomputes a stretch of a view's digest from the log and compares it with the view's marks. It finds a position that
 * the log lacks, an event whose bytes changed, and any event that the view has left out, processed twice or taken from
 * elsewhere. For the last three it only finds the marks between which they lie.
 */
export async function auditStep(request: AuditRequest): Promise<AuditStep> {
  const { log, types, partition = { index: 0, count: 1 }, progress, marks, limit } = request
  const { isDefined = () => true } = request
  const others = new Map(Object.entries(progress.undefinedTypes ?? {}))
  const target = marks.at(-1)
  if (!target) return { kind: 'agrees', progress }
  const last = Math.min(progress.position + limit, target.position)
  let { position, processed, digest, agreed } = progress
  let pending = marks
  try {
    for await (const events of pages(log, position, last)) {
      for (const event of events) {
        if (event.position !== position + 1) break
        position = event.position
        if (types.has(event.type) && isIn(event.stream, partition)) {
          digest = extendDigest(digest, [event])
          processed += 1
        } else if (!isDefined(event.type) && isIn(event.stream, partition)) {
          const count = others.get(event.type) ?? 0
          if (count > 0 || others.size < UNDEFINED_TYPES) others.set(event.type, count + 1)
        }
        const [mark] = pending
        if (mark?.position !== position) continue
        const finding = compare({ position, processed, digest }, mark, agreed)
        if (finding) return { kind: 'found', finding: { ...finding, ...undefinedAmong(others) } }
        pending = pending.slice(1)
        agreed = position
      }
    }
  } catch (error) {
    if (!isCqrsError(error, 'CQRS_STORE_CORRUPT')) throw error
    const at = Number(error.details.position ?? position + 1)
    // The events before it in its page have not been compared yet.
    if (at - 1 > progress.position) {
      const before = await auditStep({ ...request, limit: at - 1 - progress.position })
      if (before.kind === 'found') return before
    }
    const kind = error.details.missing ? 'missing-from-log' : 'changed-in-log'
    return found(kind, at - 1, at, error.message)
  }
  if (position < last) {
    return found(
      'missing-from-log',
      position,
      position + 1,
      `The log has no event at position ${position + 1}.`,
    )
  }
  return { kind: 'agrees', progress: { position, processed, digest, agreed, ...undefinedAmong(others) } }
}

function undefinedAmong(others: ReadonlyMap<string, number>): Pick<AuditProgress, 'undefinedTypes'> {
  return others.size > 0 ? { undefinedTypes: Object.fromEntries(others) } : {}
}

/** The events after `after` up to `last`, in pages; ends early where one is missing. */
async function* pages(
  log: EventLog,
  after: Position,
  last: Position,
): AsyncGenerator<readonly RecordedEvent[]> {
  for (let position = after; position < last; ) {
    const { events, through } = await log.readFrom(position, { limit: Math.min(PAGE, last - position) })
    yield events
    if (through === position || events.length < through - position) return
    position = through
    // Lets the process do other work between pages.
    await nextTurn()
  }
}

function compare(own: DigestMark, mark: DigestMark, agreed: Position): AuditFinding | undefined {
  if (own.digest === mark.digest && own.processed === mark.processed) return undefined
  const difference = mark.processed - own.processed
  const how =
    difference < 0
      ? `it left out ${-difference}`
      : difference > 0
        ? `it processed ${difference} too many`
        : 'it processed other events than the log has'
  const message =
    `Up to position ${mark.position} the log has ${own.processed} events for the view, but the view has recorded ` +
    `${mark.processed} as processed: ${how}.`
  return { kind: 'differs', after: agreed, upTo: mark.position, message }
}

function found(kind: AuditFinding['kind'], after: Position, upTo: Position, message: string): AuditStep {
  return { kind: 'found', finding: { kind, after, upTo, message } }
}
