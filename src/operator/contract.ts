import type { Purpose } from '../control/machine.ts'
import type { RecordedEvent } from '../kernel/event.ts'
import type { Position } from '../kernel/position.ts'
import type { AuditFinding, AuditProgress, DigestMark } from '../projection/audit.ts'
import type { ParkedCounts } from '../projection/contract.ts'
import type { GenerationProgress } from './generations-contract.ts'

/** What `ops::status` answers. */
export interface SystemStatus {
  readonly app: string
  /** Last position of the log. */
  readonly head: Position
  readonly projections: readonly ProjectionStatus[]
  /** ISO 8601. */
  readonly takenAt: string
}

/** One projection, or one partition of it, measured against the log's head. */
export type ProjectionStatus = ProjectionFacts & (ViewStatus | UnreadableView)

interface ProjectionFacts {
  /** The projection's name, followed by `.<index>` for a partition. */
  readonly name: string
  readonly projection: string
  readonly kind: 'projection' | 'reactor'
  readonly version: number
  /** Number of the generation that serves. */
  readonly generation: number
  /** What serves is of another version than the app defines, and stands still until it is rebuilt. */
  readonly frozen: boolean
  /** How the file of what serves is damaged, and what to do; null if nothing is known of that. */
  readonly damaged: string | null
  readonly paused: boolean
  /** Another generation is being built. */
  readonly building: boolean
  /** How far those are that are being built, the parts of a partitioned one together; in the order of their numbers. */
  readonly builds: readonly BuildStatus[]
  /** Whether some worker owns the projection's function now. */
  readonly owned: boolean
  /**
   * A worker whose code splits the projection otherwise works on it; this app's waits until that one has ended. Its
   * process, 0 if that is not known; null if there is none.
   */
  readonly waitsFor: number | null
  /** Its queue; null if no queue worker answers. */
  readonly queue: { readonly depth: number; readonly deadLetters: number } | null
}

/** A generation that is being built beside the one that serves. */
export interface BuildStatus extends GenerationProgress {
  readonly generation: number
  readonly purpose: Purpose
  /** Why it cannot go on at the moment. */
  readonly error: string | null
}

/** What stands in the view. */
interface ViewStatus {
  readonly position: Position
  /** Positions between the view and the head of the log. */
  readonly lag: number
  /**
   * How long ago the oldest event was stored that the view has not got to, in seconds; 0 if it has all, null if
   * that event cannot be read.
   */
  readonly lagSeconds: number | null
  readonly parked: ParkedCounts
  /** Effects that are recorded and not sent, and those that could not be sent. */
  readonly effects: { readonly pending: number; readonly dead: number }
}

/** The view is so damaged that nobody knows. */
type UnreadableView = { readonly [Part in keyof ViewStatus]: null } & { readonly damaged: string }

/** What `ops::events` takes. */
export interface EventsRequest {
  /** Only events after this position. */
  readonly after?: Position
  readonly limit?: number
  readonly types?: readonly string[]
  readonly stream?: string
}

/** What `ops::events` answers. */
export interface EventsPage {
  readonly events: readonly RecordedEvent[]
  readonly head: Position
  /** Give it as `after` for the next page. */
  readonly next: Position
}

/** Where a letter lies: in a queue, parked by a projection, or among the effects of a reactor. */
export type LetterSource = 'queue' | 'parked' | 'effect'

/** One thing that failed for good or is being retried. */
export interface Letter {
  /** `queue:<queue>:<message id>`, `parked:<projection>:<position>` or `effect:<reactor>:<position>.<n>`. */
  readonly id: string
  readonly source: LetterSource
  /** The queue or the projection. */
  readonly name: string
  /** What it is: the function of a message, the type and sequence of an event, the target of an effect. */
  readonly what: string
  readonly status: 'dead' | 'retrying'
  readonly error: string
  readonly attempts: number
  /** ISO 8601. */
  readonly failedAt: string
  /** Parked events: how many wait behind it. */
  readonly waiting: number
  /** The same for letters that failed at the same thing in the same way; see fingerprint.ts. */
  readonly fingerprint: string
}

/** Letters that failed at the same thing in the same way. */
export interface LetterGroup {
  readonly fingerprint: string
  readonly source: LetterSource
  /** Queues or projections, or partitions of one. */
  readonly names: readonly string[]
  /** The error without what differs from letter to letter. */
  readonly error: string
  readonly count: number
  /** How many of them are dead. */
  readonly dead: number
  /** Parked events: how many wait behind them in all. */
  readonly waiting: number
  /** When the letters failed last, the earliest and the latest of them. ISO 8601. */
  readonly firstFailedAt: string
  readonly lastFailedAt: string
  /** The id of one of them. */
  readonly example: string
}

/** What `ops::dlq-groups` takes. */
export type GroupsRequest = Pick<LettersFilter, 'source' | 'name'>

/**
 * Letters that an answer lacks: a worker is away or does not answer in time, or a store is damaged. Beside them `unavailable` has the
 * sources that they are of.
 */
export interface LeftOutLetters {
  readonly source: LetterSource
  /** The queue, the projection or the partition of one; null if nobody says which there are. */
  readonly name: string | null
  /** Why, and what to do. */
  readonly error: string
}

/** What `ops::dlq-groups` answers; at most 5,000 letters are looked at. */
export interface GroupsPage {
  readonly groups: readonly LetterGroup[]
  /** There are more letters than were looked at. */
  readonly more: boolean
  readonly unavailable: readonly LetterSource[]
  readonly incomplete: readonly LeftOutLetters[]
}

/** Which letters; everything that is given has to fit. */
export interface LettersFilter {
  readonly source?: LetterSource
  /** A queue, a projection, or a partition of one. */
  readonly name?: string
  readonly status?: Letter['status']
  /** Part of {@link Letter.what}, in upper or lower case. */
  readonly what?: string
  /** Part of the error, in upper or lower case. */
  readonly error?: string
  /** A group of `ops::dlq-groups`. */
  readonly fingerprint?: string
}

/** What `ops::dlq-list` takes. */
export interface LettersRequest extends LettersFilter {
  readonly limit?: number
  /** The `next` of the page before. */
  readonly after?: string
}

/** What `ops::dlq-list` answers. */
export interface LettersPage {
  /** By source, then by name, then in their original order. */
  readonly letters: readonly Letter[]
  /** Give it as `after` for the next page, also if this one is short; null at the end. */
  readonly next: string | null
  readonly unavailable: readonly LetterSource[]
  readonly incomplete: readonly LeftOutLetters[]
}

/** What `ops::dlq-show` answers. */
export interface LetterDetails extends Letter {
  /** The message's payload, the event, or the effect. */
  readonly content: unknown
  /** The attempts that failed, oldest first. */
  readonly failures: unknown
  /** Positions of the events that wait behind a parked one, at most 100. */
  readonly behind: readonly Position[]
}

/** Several letters at once: what a filter fits, or all. */
export interface BulkRequest extends LettersFilter {
  readonly all?: true
  /** Count and show them, and do nothing. */
  readonly dryRun?: boolean
  /** The `next` of the call before. */
  readonly after?: string
  /** The `asOf` of the call before. */
  readonly asOf?: string
}

/** What a call answers that deals with several letters. */
export interface BulkStep {
  /** Letters that fitted. */
  readonly matched?: number
  /** Some of them, of a dry run. */
  readonly examples?: readonly Letter[]
  /** Call again with it as `after` for the others; null when there are no more. */
  readonly next?: string | null
  readonly asOf?: string
  readonly unavailable?: readonly LetterSource[]
  /** Their letters were not dealt with, or only some of them. */
  readonly incomplete?: readonly LeftOutLetters[]
}

/** What `ops::dlq-redrive` takes: one letter, or several. */
export type RedriveRequest = { readonly id: string } | BulkRequest

/** A parked event that was tried again, and failed again. */
export interface FailedAgain {
  /** Its letter. */
  readonly id: string
  readonly error: string
}

/**
 * What `ops::dlq-redrive` answers. A message and an effect are put back, and delivered afterwards; a parked event is applied at once, or
 * fails again.
 */
export interface RedriveResult extends BulkStep {
  /** Messages and effects put back, and parked events applied; of a sequence with more than 1,000 the rest follow by themselves. */
  readonly redriven: number
  /** Parked events that failed again; left out if none did. */
  readonly failed?: number
  /** Some of them, at most 20. */
  readonly failures?: readonly FailedAgain[]
}

/** What `ops::dlq-discard` takes: one letter, or several. */
export type DiscardRequest = RedriveRequest & { readonly reason: string }

/** What `ops::dlq-discard` answers. */
export interface DiscardResult extends BulkStep {
  readonly discarded: number
}

/** What `ops::audit` takes: one stretch of an audit. */
export interface AuditStretch {
  readonly projection: string
  /** What the stretch before answered; left out at the beginning. */
  readonly progress?: AuditProgress
  /** Where the audit ends, as the first stretch answered. */
  readonly target?: DigestMark
}

/** What `ops::audit` answers. */
export interface AuditAnswer {
  readonly projection: string
  /** Where the view stood when the audit began. */
  readonly target: DigestMark
  readonly parked: ParkedCounts
  /** How far the log was recomputed; at `target.position` without a finding, the view is certified. */
  readonly progress: AuditProgress
  readonly finding?: AuditFinding
}

/** A queue, with the queues of subscriptions to topics among them. */
export interface QueueSummary {
  readonly queue: string
  /** The topic whose messages it holds, if it belongs to a subscription. */
  readonly topic: string | null
  readonly paused: boolean
  /** Messages that are neither finished nor dead. */
  readonly depth: number
  readonly inFlight: number
  readonly retrying: number
  readonly deadLetters: number
  /** When its oldest message was accepted or redriven, ISO 8601; null if none waits. */
  readonly oldestAt: string | null
  /** Functions that messages wait for because nobody has them. */
  readonly missing: readonly string[]
  readonly settings: unknown
}

/** What `ops::queues` takes. */
export interface QueuesRequest {
  readonly limit?: number
  /** Only queues behind this name. */
  readonly after?: string
}

/** What `ops::queues` answers, by name. */
export interface QueuesPage {
  readonly queues: readonly QueueSummary[]
  /** Give it as `after` for the next page; null at the end. */
  readonly next: string | null
}

/** What `ops::queue-purge` takes. */
export interface PurgeRequest {
  readonly queue: string
  /** The name of the queue once more. */
  readonly confirm: string
}

/** What `ops::queue-purge` answers. */
export interface PurgeResult {
  readonly queue: string
  /** Messages that were deleted. */
  readonly purged: number
}

/** How one role of a worker process stands. */
export interface RoleStanding {
  readonly role: string
  readonly state: 'starting' | 'standing by' | 'at work'
  /** Since when, ISO 8601. */
  readonly since: string
  /** The units that it keeps up to date, of projections. */
  readonly owns: readonly string[]
  /** The damage of its store that it has met last; not there if it has met none. */
  readonly damage?: MetDamage
}

/** Damage that a role has met in its store: some of what it is asked for fails, or all. */
export interface MetDamage {
  /** What was told to whoever asked. */
  readonly message: string
  /** When, ISO 8601. */
  readonly at: string
  /** How long ago that was, in milliseconds, whatever was done to the clock since. */
  readonly agoMs: number
  /** Something was stored since. */
  readonly goesOn: boolean
}

/** What a worker process says of itself. */
export interface WorkerProcess {
  readonly pid: number
  readonly host: string
  /** ISO 8601. */
  readonly startedAt: string
  /** The version of Node. */
  readonly node: string
  readonly memoryBytes: number
  readonly roles: readonly RoleStanding[]
}

/** What `ops::workers` answers. */
export interface WorkersAnswer {
  readonly workers: readonly (WorkerProcess & { readonly uptimeSeconds: number })[]
  /** Processes that are connected and did not answer in time. */
  readonly silent: number
}
