import { z } from 'zod'
import { CqrsError } from '../../kernel/errors.ts'
import { describeIssues, parseInput } from '../../kernel/input.ts'
import { parseQueueSettings, type QueueSettings } from '../../queue/settings.ts'

// Top-level keys that are not named here are tolerated: the engine adds some, such as `_caller_worker_id`.

/**
 * Lone surrogates are refused: the store would take two receipts that differ only in them for one, and the second
 * message for a duplicate.
 */
const name = z
  .string()
  .min(1, 'must not be empty')
  .max(512)
  .refine((text) => text.isWellFormed(), 'contains half a character (an unpaired surrogate)')

/** `engine::queue::enqueue`: what the engine sends for TriggerAction.Enqueue. */
export const enqueuePayload = z.object({
  queue: name,
  function_id: name,
  data: z.unknown(),
  messageReceiptId: name,
  // An invalid trace is no reason to refuse a message.
  traceparent: z.string().max(255).optional().catch(undefined),
})

/** `queue::define` */
export const definePayload = z.object({ queue: name, config: z.unknown() })

/** `iii::durable::publish` */
export const publishPayload = z.object({ topic: name, data: z.unknown() })

const queueOrTopic = { queue: name.optional(), topic: name.optional() }

/** Functions on one queue or topic; both keys mean the same, as in iii. */
export const queuePayload = z.object(queueOrTopic).transform(toName)

/** `iii::queue::list`: every queue, or a page, or one. */
export const listPayload = z.object({
  after: z.string().default(''),
  limit: z.int().min(1).max(1_000).optional(),
  // The queue of a subscription has a longer name than any that a user gives.
  queue: z.string().optional(),
})

/** `iii::queue::redrive` */
export const redrivePayload = z
  .object({ ...queueOrTopic, wait_ms: z.int().min(0).max(600_000).optional() })
  .transform(({ wait_ms, ...rest }, context) => ({ name: toName(rest, context), waitMs: wait_ms }))

/** Functions on one dead letter. */
export const messagePayload = z
  .object({ ...queueOrTopic, message_id: name })
  .transform(({ message_id, ...rest }, context) => ({ name: toName(rest, context), messageId: message_id }))

/** `engine::queue::dlq_messages` */
export const pagePayload = z
  .object({
    ...queueOrTopic,
    offset: z.int().min(0).default(0),
    limit: z.int().min(1).max(1_000).default(50),
    after_seq: z.int().min(0).default(0),
    /** The queue that `after_seq` belongs to, if a topic is asked for. */
    after_queue: z.string().optional(),
    /** Without payloads and earlier failures. */
    brief: z.boolean().default(false),
    /** Only this message, complete. */
    message_id: name.optional(),
  })
  .transform(
    ({ offset, limit, brief, message_id, after_seq: seq, after_queue: queue, ...rest }, context) => ({
      messageId: message_id,
      name: toName(rest, context),
      offset,
      limit,
      brief,
      after: { seq, queue },
    }),
  )

/** `iii::queue::unsubscribe` */
export const unsubscribePayload = z.object({ topic: name, function_id: name })

/** What iii's own names in a `queue_config` may be; those of a named queue are checked by {@link parseQueueSettings}. */
const subscriberQueueConfig = z.looseObject({
  type: z.enum(['concurrent', 'standard', 'fifo']).optional(),
  concurrency: z.int().min(0).max(10_000).optional(),
  maxRetries: z.int().min(0).max(999_999).optional(),
  backoffDelayMs: z.int().min(0).max(86_400_000).optional(),
})

/** Settings that iii knows, and that change nothing in iii's own queue (without RabbitMQ) nor here. */
const WITHOUT_EFFECT = [
  'max_priority',
  'priority_field',
  'maxPriority',
  'visibilityTimeout',
  'delaySeconds',
  'backoffType',
]

/** Which of the settings that somebody gave for a queue have no effect. */
export function settingsWithoutEffect(given: unknown): string[] {
  const isThere = (key: string) => Object.hasOwn(Object(given ?? {}), key)
  return WITHOUT_EFFECT.filter(isThere)
}

/** The configuration of a `durable:subscriber` trigger. */
export const subscriberConfig = z
  .object({
    ...queueOrTopic,
    condition_function_id: name.optional(),
    queue_config: subscriberQueueConfig.optional(),
  })
  .transform(({ condition_function_id, queue_config, ...rest }, context) => ({
    topic: toName(rest, context),
    conditionFunctionId: condition_function_id,
    queueConfig: queue_config ?? {},
  }))

/**
 * The queue settings of a subscriber: iii's own names (`maxRetries`, type `concurrent`) or those of a named
 * queue. A fifo subscriber without a group field is one group; concurrency 0 delivers nothing. iii's `maxRetries`
 * counts the deliveries after the first one, `max_retries` all of them.
 *
 * @throws CqrsError CQRS_QUEUE_INVALID that names every wrong or unknown setting
 */
export function subscriberSettings({ topic, queueConfig }: z.output<typeof subscriberConfig>): QueueSettings {
  const { type, concurrency, maxRetries, backoffDelayMs, ...others } = queueConfig
  const effective = Object.entries(others).filter(([key]) => !WITHOUT_EFFECT.includes(key))
  const settings = parseQueueSettings(topic, {
    ...(maxRetries !== undefined && { max_retries: maxRetries + 1 }),
    ...(backoffDelayMs !== undefined && { backoff_ms: backoffDelayMs }),
    ...Object.fromEntries(effective),
  })
  return { ...settings, type: type === 'fifo' ? 'fifo' : 'standard', concurrency: concurrency ?? 10 }
}

/**
 * Checks the payload of a call.
 *
 * @throws CqrsError CQRS_QUEUE_INVALID that names every wrong field
 */
export function parsePayload<Output>(
  functionId: string,
  schema: z.ZodType<Output>,
  payload: unknown,
): Output {
  const result = parseInput(schema, payload ?? {})
  if (result.ok) return result.value
  throw new CqrsError('CQRS_QUEUE_INVALID', `${functionId}: ${describeIssues(result.issues)}.`)
}

function toName({ queue, topic }: { queue?: string; topic?: string }, context: z.RefinementCtx): string {
  const given = queue ?? topic
  if (given === undefined) context.addIssue({ code: 'custom', path: ['queue'], message: 'is required' })
  return given ?? ''
}
