import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import { describeIssues, parseInput } from '../kernel/input.ts'

const whole = (least: number) => z.int().min(least)

/** How long the longest wait between two deliveries is unless it is set, or the first wait is longer. In milliseconds. */
const MAX_BACKOFF_MS = 60_000

/** A queue's settings as users write them (names as in iii). */
const settingsGiven = z
  .strictObject({
    /** `standard`: no order, up to `concurrency` at a time. `fifo`: in order within a group. */
    type: z.enum(['standard', 'fifo']).default('standard'),
    /** fifo: the field of the data whose value names the group. */
    message_group_field: z.string().min(1).optional(),
    /** How many deliveries run at the same time; in a fifo queue, each is of a different group. */
    concurrency: whole(1).max(10_000).default(10),
    /** A message becomes a dead letter after this many failed deliveries. */
    max_retries: whole(0).max(1_000_000).default(3),
    /** The wait after the first failure; it doubles with each further one. In milliseconds. */
    backoff_ms: whole(0).max(86_400_000).default(1_000),
    /** The longest wait between two deliveries, in milliseconds. A longer `backoff_ms` raises the default. */
    max_backoff_ms: whole(0).max(86_400_000).optional(),
    /** A delivery that is not answered within this time has failed. In milliseconds. */
    timeout_ms: whole(1).max(86_400_000).default(300_000),
    /** A message becomes a dead letter after this many deliveries whose worker died. */
    max_stops: whole(1).max(1_000_000).default(10),
    /** Accepted for compatibility; nothing is polled here. */
    poll_interval_ms: whole(0).optional(),
    /** Accepted for compatibility (RabbitMQ); no effect. */
    max_priority: whole(1).max(255).optional(),
    /** Accepted for compatibility (RabbitMQ); no effect. */
    priority_field: z.string().optional(),
  })
  .refine((settings) => settings.type === 'standard' || settings.message_group_field !== undefined, {
    path: ['message_group_field'],
    error: 'is required for a fifo queue; it is the field whose value names the group of a message',
  })

/** The settings as users write them, completed with the defaults. */
const queueSettings = settingsGiven.transform((settings) => ({
  ...settings,
  max_backoff_ms: settings.max_backoff_ms ?? Math.max(MAX_BACKOFF_MS, settings.backoff_ms),
}))

/** The settings of one queue, complete with defaults. */
export type QueueSettings = z.output<typeof queueSettings>

/**
 * Checks the settings that a user gave for `queue` and completes them with the defaults.
 *
 * @throws CqrsError CQRS_QUEUE_INVALID that names every wrong field
 */
export function parseQueueSettings(queue: string, given: unknown): QueueSettings {
  const result = parseInput(queueSettings, given ?? {})
  if (result.ok) return result.value
  throw new CqrsError(
    'CQRS_QUEUE_INVALID',
    `The settings of queue "${queue}" are not valid: ${describeIssues(result.issues)}.`,
  )
}

/** @throws CqrsError CQRS_QUEUE_INVALID if a queue cannot have this name */
export function assertQueueName(name: string): void {
  if (name.length > 0 && name.length <= 256) return
  throw new CqrsError('CQRS_QUEUE_INVALID', 'The name of a queue must have 1 to 256 characters.')
}
