import { z } from 'zod'
import { milliseconds, wholeNumber } from './setting.ts'

/** Settings of the projections worker. */
export const projections = z.object({
  workers: wholeNumber('Processes of `cqrs up` that share the projections and their partitions.', {
    env: 'CQRS_PROJECTIONS_WORKERS',
    default: 1,
    min: 1,
    max: 64,
  }),
  batchSize: wholeNumber('Events that are folded in one transaction.', {
    env: 'CQRS_PROJECTIONS_BATCH_SIZE',
    default: 1_000,
    min: 1,
    max: 100_000,
  }),
  batchBytes: wholeNumber(
    'Bytes of event data that are folded in one transaction; the last event may go beyond this.',
    { env: 'CQRS_PROJECTIONS_BATCH_BYTES', default: 8_388_608, min: 1_024, max: 1_073_741_824 },
  ),
  sweepIntervalMs: milliseconds('How often a projection looks at the log itself.', {
    env: 'CQRS_PROJECTIONS_SWEEP_INTERVAL_MS',
    default: 1_000,
    min: 10,
  }),
  maxAttempts: wholeNumber(
    'Attempts to apply an event, or to send an effect, before it is dead and waits for an operator.',
    {
      env: 'CQRS_PROJECTIONS_MAX_ATTEMPTS',
      default: 5,
      min: 1,
      max: 1_000,
    },
  ),
  maxStops: wholeNumber(
    'How often the receiver of an effect may end before it answers, until the effect is dead and waits for an operator.',
    {
      env: 'CQRS_PROJECTIONS_MAX_STOPS',
      default: 10,
      min: 1,
      max: 1_000,
    },
  ),
  effectsAtOnce: wholeNumber(
    'How many effects of a reactor, or of one of its partitions, are sent at the same time, each of another sequence; 1 sends all of them in their order.',
    { env: 'CQRS_PROJECTIONS_EFFECTS_AT_ONCE', default: 16, min: 1, max: 1_000 },
  ),
  effectTimeoutMs: milliseconds('How long the receiver of an effect has to answer.', {
    env: 'CQRS_PROJECTIONS_EFFECT_TIMEOUT_MS',
    default: 5_000,
    min: 1,
  }),
  absentCommandMs: milliseconds(
    'How long an effect waits for a command that the app does not define, because another app may offer it; after that it has failed.',
    { env: 'CQRS_PROJECTIONS_ABSENT_COMMAND_MS', default: 600_000, min: 0 },
  ),
  retryBaseMs: milliseconds('Wait before the second attempt; doubles with each further one.', {
    env: 'CQRS_PROJECTIONS_RETRY_BASE_MS',
    default: 200,
  }),
  retryCapMs: milliseconds('Longest wait between two attempts.', {
    env: 'CQRS_PROJECTIONS_RETRY_CAP_MS',
    default: 60_000,
  }),
  cachedBytes: wholeNumber(
    'Memory, in bytes, for the documents that a projection keeps between batches, and for those of one batch. Estimated.',
    { env: 'CQRS_PROJECTIONS_CACHED_BYTES', default: 67_108_864, min: 1, max: 1_099_511_627_776 },
  ),
  buildDocuments: wholeNumber('Number of documents that a rebuild keeps in memory, for each partition.', {
    env: 'CQRS_PROJECTIONS_BUILD_DOCUMENTS',
    default: 250_000,
    min: 0,
    max: 100_000_000,
  }),
  buildBytes: wholeNumber('Memory, in bytes, that the documents kept by a rebuild may take. Estimated.', {
    env: 'CQRS_PROJECTIONS_BUILD_BYTES',
    default: 268_435_456,
    min: 1,
    max: 1_099_511_627_776,
  }),
  buildHeldBackMs: milliseconds(
    'How long a rebuild collects changes of a document before it writes them. If its process dies, up to this much work is repeated.',
    { env: 'CQRS_PROJECTIONS_BUILD_HELD_BACK_MS', default: 10_000, min: 0 },
  ),
})

/** Settings of the queries worker. */
export const queries = z.object({
  waitForPositionMs: milliseconds(
    'How long a query with `after` waits for the view; after that it gets 503.',
    {
      env: 'CQRS_QUERIES_WAIT_FOR_POSITION_MS',
      default: 5_000,
      min: 0,
    },
  ),
  maxWaiting: wholeNumber(
    'Queries with `after` that may wait for views at the same time, in each queries worker; more get 503.',
    {
      env: 'CQRS_QUERIES_MAX_WAITING',
      default: 512,
      min: 1,
      max: 1_000_000,
    },
  ),
})

/** Settings of the queue worker. The first four are for the queue `default`. */
export const queue = z.object({
  concurrency: wholeNumber('Messages of one queue that are delivered at the same time.', {
    env: 'CQRS_QUEUE_CONCURRENCY',
    default: 10,
    min: 1,
    max: 10_000,
  }),
  maxRetries: wholeNumber('Failed deliveries after which a message is a dead letter.', {
    env: 'CQRS_QUEUE_MAX_RETRIES',
    default: 3,
    min: 1,
    max: 1_000,
  }),
  backoffMs: milliseconds('Wait before the second delivery; doubles with each further one.', {
    env: 'CQRS_QUEUE_BACKOFF_MS',
    default: 1_000,
  }),
  timeoutMs: milliseconds('How long a function may take to handle one message.', {
    env: 'CQRS_QUEUE_TIMEOUT_MS',
    default: 30_000,
  }),
  // In UTF-8 a message of the largest length has 12 MiB at most, and a frame of the engine 16.
  maxDataLength: wholeNumber('Longest data of one message, in characters of JSON; a longer one is refused.', {
    env: 'CQRS_QUEUE_MAX_DATA_LENGTH',
    default: 1_048_576,
    min: 1_024,
    max: 4_194_304,
  }),
  memoryMessages: wholeNumber('Messages that all queues together hold completely in memory.', {
    env: 'CQRS_QUEUE_MEMORY_MESSAGES',
    default: 50_000,
    min: 1,
    max: 100_000_000,
  }),
  memoryCharacters: wholeNumber('Characters of data that all queues together hold in memory.', {
    env: 'CQRS_QUEUE_MEMORY_CHARACTERS',
    default: 134_217_728,
    min: 1,
    max: 1_000_000_000_000,
  }),
  memoryNumbers: wholeNumber('Messages of which all queues together have at least the number in memory.', {
    env: 'CQRS_QUEUE_MEMORY_NUMBERS',
    default: 500_000,
    min: 1,
    max: 1_000_000_000,
  }),
  drainMs: milliseconds('How long a stopping queue worker waits for deliveries in progress.', {
    env: 'CQRS_QUEUE_DRAIN_MS',
    default: 10_000,
    min: 0,
  }),
})

/** Settings of the operator worker. */
export const ops = z.object({
  maxLagMs: milliseconds(
    'How far a projection may lag behind, in time, before /health/ready reports the system as not ready.',
    {
      env: 'CQRS_OPS_MAX_LAG_MS',
      default: 60_000,
    },
  ),
  minFreeBytes: wholeNumber(
    'Least free bytes on the disk of the data folder; with less, /health/ready reports the system as not ready.',
    {
      env: 'CQRS_OPS_MIN_FREE_BYTES',
      default: 104_857_600,
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
    },
  ),
  answerMs: milliseconds(
    'How long a worker may take to answer a request of an operator; after that its part is left out.',
    {
      env: 'CQRS_OPS_ANSWER_MS',
      default: 3_000,
    },
  ),
  readyAnswerMs: milliseconds(
    'How long a worker may take to answer `/health/ready`; after that it counts as not answering.',
    { env: 'CQRS_OPS_READY_ANSWER_MS', default: 700 },
  ),
  actionDays: wholeNumber('Days for which the record of what operators did is kept; 0: for ever.', {
    env: 'CQRS_OPS_ACTION_DAYS',
    default: 365,
    min: 0,
    max: 36_500,
  }),
  failuresPerMinute: wholeNumber(
    'Wrong tokens in a minute that are answered with 401; more get 429 for a while.',
    {
      env: 'CQRS_OPS_FAILURES_PER_MINUTE',
      default: 10,
      min: 1,
      max: 10_000,
    },
  ),
})
