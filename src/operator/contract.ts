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

/** One projection, or one partition of it, compared with the head of the log. */
export type ProjectionStatus = ProjectionFacts & (ViewStatus | UnreadableView)

interface ProjectionFacts {
  /** The projection's name, followed by `.<index>` for a partition. */
  readonly name: string
  readonly projection: string
  readonly kind: 'projection' | 'reactor'
  /** The version in the code of the app. */
  readonly version: number
  /** The version of the code that built the generation that serves. */
  readonly servingVersion: number
  /** Number of the generation that serves. */
  readonly generation: number
  /**
   * The generation that serves was built by another version of the code, or with other partitions, than the app
   * defines. It stands still until a rebuild replaces it.
   */
  readonly frozen: boolean
  /** How the file of the generation that serves is damaged, and what to do; null if no damage is known. */
  readonly damaged: string | null
  readonly paused: boolean
  /** Another generation is being built. */
  readonly building: boolean
  /**
   * Progress of the generations being built, in the order of their numbers; the partitions of one are taken together.
   */
  readonly builds: readonly BuildStatus[]
  /** Whether some worker owns the projection's function now. */
  readonly owned: boolean
  /**
   * Process id of a worker that holds the projection with code that splits it into other partitions; 0 if the id is not
   * known, null if there is no such worker. Until that worker has ended, this app's workers wait.
   */
  readonly waitsFor: number | null
  /** Its queue; null if no queue worker answers. */
  readonly queue: { readonly depth: number; readonly deadLetters: number } | null
}

/** A generation that is being built beside the one that serves. */
export interface BuildStatus extends GenerationProgress {
  readonly generation: number
  readonly purpose: Purpose
  /** Why the build cannot go on at the moment. */
  readonly error: string | null
}

/** What the view itself says. */
interface ViewStatus {
  readonly position: Position
  /** Positions between the view and the head of the log. */
  readonly lag: number
  /**
   * Age in seconds of the oldest event that the view has not reached; 0 if it has reached all of them, null if that
   * event cannot be read.
   */
  readonly lagSeconds: number | null
  readonly parked: ParkedCounts
  /** Effects that are recorded and not sent yet, and effects that were given up. */
  readonly effects: { readonly pending: number; readonly dead: number }
}

/** The view is so damaged that none of this can be read. */
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
  /** Pass it as `after` to get the next page. */
  readonly next: Position
}

/** Where a letter can be: in a queue, parked by a projection, or among the effects of a reactor. */
export const LETTER_SOURCES = ['queue', 'parked', 'effect'] as const

/** One of {@link LETTER_SOURCES}. */
export type LetterSource = (typeof LETTER_SOURCES)[number]

/** A message, an event or an effect that failed for good or is being retried. */
export interface Letter {
  /** `queue:<queue>:<message id>`, `parked:<projection>:<position>` or `effect:<reactor>:<position>.<n>`. */
  readonly id: string
  readonly source: LetterSource
  /** The queue or the projection. */
  readonly name: string
  /** What failed: the function of a message, the type and sequence of an event, the target of an effect. */
  readonly what: string
  readonly status: 'dead' | 'retrying'
  readonly error: string
  readonly attempts: number
  /** ISO 8601. */
  readonly failedAt: string
  /** For parked events: how many events wait behind it. */
  readonly waiting: number
  /** Letters that failed at the same thing in the same way have the same one; see fingerprint.ts. */
  readonly fingerprint: string
}

/** Letters that failed at the same thing in the same way. */
export interface LetterGroup {
  readonly fingerprint: string
  readonly source: LetterSource
  /** Queues or projections, or partitions of one. */
  readonly names: readonly string[]
  /** The error, without the parts that differ from letter to letter. */
  readonly error: string
  readonly count: number
  /** How many of them are dead. */
  readonly dead: number
  /** For parked events: how many events wait behind them in total. */
  readonly waiting: number
  /** Each letter has the time of its last failure; these are the earliest and the latest of those times. ISO 8601. */
  readonly firstFailedAt: string
  readonly lastFailedAt: string
  /** The id of one letter of the group. */
  readonly example: string
}

/** What `ops::dlq-groups` takes. */
export type GroupsRequest = Pick<LettersFilter, 'source' | 'name'>

/**
 * Letters that an answer leaves out because a worker is away or does not answer in time, a store is damaged, or a
 * view is of another version than its code. The field `unavailable` beside this list has their sources.
 */
export interface LeftOutLetters {
  readonly source: LetterSource
  /** The queue, the projection or the partition; null if their names could not be listed either. */
  readonly name: string | null
  /** Why, and what to do. */
  readonly error: string
}

/** What `ops::dlq-groups` answers. Of each source it examines at least 5,000 letters, and at most 10,000. */
export interface GroupsPage {
  readonly groups: readonly LetterGroup[]
  /** There are more letters than were examined. */
  readonly more: boolean
  readonly unavailable: readonly LetterSource[]
  readonly incomplete: readonly LeftOutLetters[]
}

/** Selects letters; a letter has to match every field that is given. */
export interface LettersFilter {
  readonly source?: LetterSource
  /** A queue, a projection, or a partition of one. */
  readonly name?: string
  readonly status?: Letter['status']
  /** Part of {@link Letter.what}; case is ignored. */
  readonly what?: string
  /** Part of the error; case is ignored. */
  readonly error?: string
  /** A group of `ops::dlq-groups`. */
  readonly fingerprint?: string
}

/** What `ops::dlq-list` takes. */
export interface LettersRequest extends LettersFilter {
  readonly limit?: number
  /** The `next` of the previous page. */
  readonly after?: string
}

/** What `ops::dlq-list` answers. */
export interface LettersPage {
  /** By source, then by name, then in their original order. */
  readonly letters: readonly Letter[]
  /** Pass it as `after` to get the next page, even if this page is short; null at the end. */
  readonly next: string | null
  readonly unavailable: readonly LetterSource[]
  readonly incomplete: readonly LeftOutLetters[]
}

/** What `ops::dlq-show` answers. */
export interface LetterDetails extends Omit<Letter, 'status'> {
  /** `waiting`: an event that did not fail itself, but waits behind one of its sequence that did. */
  readonly status: Letter['status'] | 'waiting'
  /** The message's payload, the event, or the effect. */
  readonly content: unknown
  /** The attempts that failed, oldest first. */
  readonly failures: unknown
  /** Positions of the events that wait behind a parked one, at most 100. */
  readonly behind: readonly Position[]
}

/** Selects several letters at once: those that match a filter, or all. */
export interface BulkRequest extends LettersFilter {
  readonly all?: true
  /** Only count and show the letters; change nothing. */
  readonly dryRun?: boolean
  /** The `next` of the previous call. */
  readonly after?: string
  /** The `asOf` of the previous call. */
  readonly asOf?: string
}

/** What a call on several letters answers. */
export interface BulkStep {
  /** Number of letters that matched. */
  readonly matched?: number
  /** In a dry run: some of the letters that matched. */
  readonly examples?: readonly Letter[]
  /** Pass it as `after` in the next call, which handles the rest; null when there are no more. */
  readonly next?: string | null
  readonly asOf?: string
  readonly unavailable?: readonly LetterSource[]
  /** Places whose letters were not handled, or only partly. */
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
 * What `ops::dlq-redrive` answers. Messages and effects are put back and delivered later; a parked event is applied
 * at once, or fails again.
 */
export interface RedriveResult extends BulkStep {
  /**
   * Messages and effects put back, and parked events applied. In a sequence of more than 1,000 events, the rest
   * follow by themselves.
   */
  readonly redriven: number
  /** Parked events that failed again; absent if none did. */
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

/** What `ops::audit` takes: the stretch of the log to audit in this call. */
export interface AuditStretch {
  readonly projection: string
  /** The `progress` that the previous stretch answered; left out at the beginning. */
  readonly progress?: AuditProgress
  /** Where the audit ends: the `target` that the first stretch answered. */
  readonly target?: DigestMark
}

/** What `ops::audit` answers. */
export interface AuditAnswer {
  readonly projection: string
  /** Position and digest of the view when the audit began. */
  readonly target: DigestMark
  readonly parked: ParkedCounts
  /** How far the digest was recomputed. When it reaches `target.position` without a finding, the view is certified. */
  readonly progress: AuditProgress
  readonly finding?: AuditFinding
}

/** A queue; each subscription to a topic has one of its own. */
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
  /** When its oldest message was accepted or redriven, ISO 8601; null if no message waits. */
  readonly oldestAt: string | null
  /** Functions that messages wait for because no worker has registered them. */
  readonly missing: readonly string[]
  readonly settings: unknown
}

/** What `ops::queues` takes. */
export interface QueuesRequest {
  readonly limit?: number
  /** Only queues whose name sorts after this one. */
  readonly after?: string
}

/** What `ops::queues` answers, ordered by name. */
export interface QueuesPage {
  readonly queues: readonly QueueSummary[]
  /** Pass it as `after` to get the next page; null at the end. */
  readonly next: string | null
}

/** What `ops::queue-purge` takes. */
export interface PurgeRequest {
  readonly queue: string
  /** The name of the queue again, as confirmation. */
  readonly confirm: string
}

/** What `ops::queue-purge` answers. */
export interface PurgeResult {
  readonly queue: string
  /** Messages that were deleted. */
  readonly purged: number
}

/** The state of one role of a worker process. */
export interface RoleStanding {
  readonly role: string
  readonly state: 'starting' | 'standing by' | 'at work'
  /** Since when, ISO 8601. */
  readonly since: string
  /** Projections, or partitions of them, that it keeps up to date. */
  readonly owns: readonly string[]
  /** The last damage that it met in its store; absent if it has met none. */
  readonly damage?: MetDamage
}

/** Damage that a role has met in its store, so that some or all of its requests fail. */
export interface MetDamage {
  /** The error message that the caller got. */
  readonly message: string
  /** When, ISO 8601. */
  readonly at: string
  /** How long ago that was, in milliseconds; not affected by changes of the clock. */
  readonly agoMs: number
  /** Something was stored successfully since. */
  readonly goesOn: boolean
}

/** What a worker process reports about itself. */
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
