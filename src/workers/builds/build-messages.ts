import type { BuildOrder } from '../../generations/place.ts'
import type { Partition } from '../../kernel/partition.ts'
import type { Position } from '../../kernel/position.ts'
import type { ViewDamage } from '../../projection/damage.ts'
import type { RetryPolicy } from '../../projection/retry-policy.ts'

/** What a build thread has to do. Everything in it can be passed to a thread. */
export interface BuildThreadOrder {
  /** The app's module. */
  readonly app: string
  readonly projection: string
  readonly partition: Partition
  /** The file of the log, and the file of the part that is built. */
  readonly log: string
  readonly view: string
  readonly until: BuildOrder['until']
  /** The files of the active generation, which owes the effects. */
  readonly owing: readonly { readonly path: string; readonly version: number }[]
  readonly takesOver: BuildOrder['takesOver']
  readonly policy: RetryPolicy
  readonly batchSize: number
  readonly batchBytes: number
  /** How many documents are kept in memory. */
  readonly cachedDocuments: number
  /** How much memory these documents may take, in bytes. The size is estimated. */
  readonly cachedBytes: number
  /** How long changes may be held back, so that they are stored together with later ones; in milliseconds. */
  readonly heldBackMs: number
  /**
   * Shared memory. {@link STOP} and {@link YIELD} are set for the thread, {@link FOLDING} and {@link BEAT} by the
   * thread.
   */
  readonly signals: SharedArrayBuffer
}

/** Set to end the thread after its batch. */
export const STOP = 0
/** Set while live views are behind. */
export const YIELD = 1
/** Set while handlers run. */
export const FOLDING = 2
/** Incremented with every batch. */
export const BEAT = 3

/** A message from a build thread. */
export type BuildMessage =
  | {
      readonly kind: 'progress'
      readonly phase: 'folding' | 'indexing'
      readonly position: Position
      readonly target: Position
      /** Events per second. */
      readonly rate: number
    }
  | { readonly kind: 'done'; readonly position: Position }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly error: string }
  /** A view is damaged; another thread would fail in the same way. */
  | { readonly kind: 'damaged'; readonly damage: ViewDamage }
