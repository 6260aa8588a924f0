import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import type { DiscardResult, Letter, LetterDetails, RedriveResult } from './contract.ts'
import { type LetterId, letterId } from './letter-id.ts'
import type { System } from './system.ts'

/** Dead letters fetched at once while looking for one of them. */
const PAGE = 500

const topics = z.array(z.object({ topic: z.string(), message_count: z.number() }))
const message = z.object({
  id: z.string(),
  payload: z.unknown(),
  error: z.string(),
  /** Seconds since 1970. */
  failed_at: z.number(),
  retries: z.number(),
  function_id: z.string().optional(),
  history: z.unknown().optional(),
})
const messages = z.array(message)
const redriven = z.object({ redriven: z.number() })

/** Queues that have dead letters. */
export async function deadLetterQueues({ call }: System): Promise<string[]> {
  const found = topics.parse(await call('engine::queue::dlq_topics', {}))
  return found.filter(({ message_count }) => message_count > 0).map(({ topic }) => topic)
}

/** The dead letters of a queue, oldest first. */
export async function queueLetters(system: System, queue: string, limit: number): Promise<Letter[]> {
  return (await fetchPage(system, queue, 0, limit)).map((found) => toLetter(queue, found))
}

/** One dead letter with its payload and history. @throws CqrsError CQRS_NOT_FOUND */
export async function showMessage(system: System, { name, key }: LetterId): Promise<LetterDetails> {
  for (let offset = 0; ; offset += PAGE) {
    const page = await fetchPage(system, name, offset, PAGE)
    const found = page.find(({ id }) => id === key)
    if (found)
      return { ...toLetter(name, found), content: found.payload, failures: found.history ?? [], behind: [] }
    if (page.length < PAGE) return notFound(name, key)
  }
}

/** Puts one dead letter back. @throws CqrsError CQRS_NOT_FOUND */
export async function redriveMessage({ call }: System, { name, key }: LetterId): Promise<RedriveResult> {
  const result = redriven.parse(await call('iii::queue::redrive_message', { queue: name, message_id: key }))
  return result.redriven > 0 ? { redriven: result.redriven } : notFound(name, key)
}

/** Puts all dead letters of a queue back, in their original order. */
export async function redriveQueue({ call }: System, queue: string): Promise<RedriveResult> {
  const { redriven: count } = redriven.parse(await call('iii::queue::redrive', { queue }))
  return { redriven: count }
}

/** Deletes one dead letter. @throws CqrsError CQRS_NOT_FOUND */
export async function discardMessage({ call }: System, { name, key }: LetterId): Promise<DiscardResult> {
  const result = redriven.parse(await call('iii::queue::discard_message', { queue: name, message_id: key }))
  return result.redriven > 0 ? { discarded: result.redriven } : notFound(name, key)
}

async function fetchPage({ call }: System, topic: string, offset: number, limit: number) {
  return messages.parse(await call('engine::queue::dlq_messages', { topic, offset, limit }))
}

function toLetter(queue: string, found: z.output<typeof message>): Letter {
  return {
    id: letterId({ source: 'queue', name: queue, key: found.id }),
    source: 'queue',
    name: queue,
    what: `message for ${found.function_id ?? 'a function'}`,
    status: 'dead',
    error: found.error,
    attempts: found.retries,
    failedAt: new Date(found.failed_at * 1_000).toISOString(),
    waiting: 0,
  }
}

function notFound(queue: string, id: string): never {
  throw new CqrsError(
    'CQRS_NOT_FOUND',
    `The queue ${queue} has no dead letter ${id} (any more); list them again.`,
  )
}
