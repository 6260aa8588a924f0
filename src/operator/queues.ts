import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import { invalidField } from '../kernel/input.ts'
import type { PurgeResult, QueueSummary, QueuesPage } from './contract.ts'
import { number, parseRequest } from './request.ts'
import type { System } from './system.ts'

const listed = z.array(
  z.object({
    queue: z.string(),
    topic: z.string().nullable(),
    paused: z.boolean(),
    depth: z.number(),
    in_flight: z.number(),
    retrying: z.number(),
    waiting_for_functions: z.array(z.string()),
    dlq_depth: z.number(),
    oldest_at: z.number().nullish(),
    config: z.unknown(),
  }),
)
const listRequest = z.strictObject({ limit: number(1, 500).default(100), after: z.string().default('') })
const oneRequest = z.strictObject({ queue: z.string().min(1) })
const purgeRequest = oneRequest.extend({ confirm: z.string() })
const purged = z.object({ queue: z.string(), purged: z.number() })

/** Every queue, ordered by name. @throws CqrsError CQRS_ENGINE_UNREACHABLE if no queue worker answers */
export async function listQueues(system: System, input: unknown): Promise<QueuesPage> {
  const { limit, after } = parseRequest(listRequest, input ?? {})
  // One more than fits tells whether another page follows.
  const queues = (await askQueues(system, { after, limit: limit + 1 })).filter(({ queue }) => queue > after)
  const page = queues.slice(0, limit)
  return { queues: page, next: queues.length > limit ? (page.at(-1)?.queue ?? null) : null }
}

/** One queue. @throws CqrsError CQRS_NOT_FOUND if it does not exist */
export async function showQueue(system: System, input: unknown): Promise<QueueSummary> {
  return find(system, parseRequest(oneRequest, input).queue)
}

/** Stops the deliveries of a queue. @throws CqrsError CQRS_NOT_FOUND if it does not exist */
export async function pauseQueue(system: System, input: unknown): Promise<QueueSummary> {
  return setPaused(system, input, 'iii::queue::pause')
}

/** Resumes the deliveries of a queue. @throws CqrsError CQRS_NOT_FOUND if it does not exist */
export async function resumeQueue(system: System, input: unknown): Promise<QueueSummary> {
  return setPaused(system, input, 'iii::queue::resume')
}

/**
 * Deletes the messages that wait in a queue. Projections lose nothing: they go on from the log.
 *
 * @throws CqrsError CQRS_VALIDATION if `confirm` does not repeat the name, CQRS_NOT_FOUND if the queue does not exist
 */
export async function purgeQueue(system: System, input: unknown): Promise<PurgeResult> {
  const { queue, confirm } = parseRequest(purgeRequest, input)
  const { depth } = await find(system, queue)
  if (confirm !== queue) {
    throw invalidField(
      'confirm',
      `to delete the ${depth} messages that wait in the queue ${queue}, repeat its name here`,
    )
  }
  return purged.parse(await system.call('ops::queues::purge', { queue }))
}

async function setPaused(system: System, input: unknown, functionId: string): Promise<QueueSummary> {
  const { queue } = parseRequest(oneRequest, input)
  await find(system, queue)
  await system.call(functionId, { queue })
  return find(system, queue)
}

async function find(system: System, name: string): Promise<QueueSummary> {
  const found = (await askQueues(system, { queue: name })).find(({ queue }) => queue === name)
  if (found) return found
  const known = (await askQueues(system, { limit: 20 })).slice(0, 20).map(({ queue }) => queue)
  throw new CqrsError('CQRS_NOT_FOUND', `There is no queue ${name}; there are: ${known.join(', ')}.`)
}

/** Queues, ordered by name. */
async function askQueues(
  { ask }: System,
  which: { after?: string; limit?: number; queue?: string },
): Promise<QueueSummary[]> {
  const found = listed.parse(await ask('iii::queue::list', which))
  return found
    .map(({ in_flight, waiting_for_functions, dlq_depth, oldest_at, config, ...queue }) => ({
      ...queue,
      inFlight: in_flight,
      deadLetters: dlq_depth,
      missing: waiting_for_functions,
      oldestAt: typeof oldest_at === 'number' ? new Date(oldest_at).toISOString() : null,
      settings: config,
    }))
    .sort((left, right) => (left.queue < right.queue ? -1 : 1))
}
