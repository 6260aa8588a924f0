import { z } from 'zod'
import { CqrsError } from '../../kernel/errors.ts'
import type { Letter } from '../contract.ts'
import { fingerprint } from '../fingerprint.ts'
import type { System } from '../system.ts'
import type { LetterBox } from './letter-box.ts'
import { letterId } from './letter-id.ts'

/**
 * How long one call waits for the redrive of all letters of a queue, in milliseconds. If it is not done by then, the
 * next call joins it.
 */
const REDRIVE_WAIT_MS = 5_000

/** Dead letters fetched in one call while searching for one of them. */
const PAGE = 500

const topics = z.array(z.object({ topic: z.string(), message_count: z.number() }))
const queues = z.array(z.object({ queue: z.string(), topic: z.string().nullable() }))
const message = z.object({
  id: z.string(),
  seq: z.number().optional(),
  /** The queue of the subscription that has the message, if a topic was asked for. */
  queue: z.string().optional(),
  payload: z.unknown(),
  error: z.string(),
  /** Seconds since 1970. */
  failed_at: z.number(),
  retries: z.number(),
  function_id: z.string().optional(),
  history: z.unknown().optional(),
})
/** Separates topic and function in the name of a subscription's own queue. */
const OF_SUBSCRIPTION = '::'

/** When each delivery failed, in milliseconds since 1970. */
const failures = z.array(z.object({ at: z.number() })).min(1)
const messages = z.array(message)
const count = z.object({ redriven: z.number(), more: z.boolean().optional() })

/** The dead letters of the queues. The queue worker is asked for them. */
export const queueLetters: LetterBox = {
  source: 'queue',

  async names({ ask }, wanted) {
    const found = topics.parse(await ask('engine::queue::dlq_topics', {}))
    const names = found.filter(({ message_count }) => message_count > 0).map(({ topic }) => topic)
    // Letters of a subscription are listed under its topic. The name of its own queue also works, and means only its
    // letters.
    if (!wanted?.includes(OF_SUBSCRIPTION) || names.includes(wanted)) return names
    const all = queues.parse(await ask('iii::queue::list', { queue: wanted }))
    return all.some(({ queue, topic }) => queue === wanted && topic !== null) ? [...names, wanted] : names
  },

  async everyName({ ask }) {
    const found = queues.parse(await ask('iii::queue::list', {}))
    return found.flatMap(({ queue, topic }) => (topic === null ? [queue] : [queue, topic]))
  },

  async list(system, queue, limit, after = 'seq.0') {
    const [, kind, at, own] = /^(seq|offset)\.(\d+)(?:\.(.+))?$/s.exec(after) ?? []
    const from =
      kind === 'seq'
        ? { offset: 0, after_seq: Number(at), ...(own !== undefined && { after_queue: own }) }
        : { offset: Number(at) }
    const page = await fetchPage(system, queue, { ...from, limit, brief: true })
    // A provider that is not ours has no seq; its pages begin at an offset.
    return page.map((found, index) => ({
      letter: toLetter(queue, found),
      cursor:
        found.seq === undefined
          ? `offset.${from.offset + index + 1}`
          : ['seq', found.seq, ...(found.queue === undefined ? [] : [found.queue])].join('.'),
    }))
  },

  afterLeaving(cursor, gone) {
    const [, offset] = /^offset\.(\d+)$/.exec(cursor) ?? []
    return offset === undefined ? cursor : `offset.${Math.max(0, Number(offset) - gone)}`
  },

  async show(system, { name, key }) {
    for (let offset = 0; ; offset += PAGE) {
      const page = await fetchPage(system, name, { offset, limit: PAGE, message_id: key })
      const found = page.find(({ id }) => id === key)
      if (found) {
        return { ...toLetter(name, found), content: found.payload, failures: found.history ?? [], behind: [] }
      }
      // A provider that is not ours ignores message_id and returns all messages, page by page.
      if (page.length < PAGE) return notFound(name, key)
    }
  },

  async redrive({ call }, { name, key }) {
    const result = count.parse(await call('iii::queue::redrive_message', { queue: name, message_id: key }))
    return result.redriven > 0 ? result : notFound(name, key)
  },

  async redriveAll({ call }, queue, tell, { isOver }) {
    for (;;) {
      const step = count.parse(await call('iii::queue::redrive', { queue, wait_ms: REDRIVE_WAIT_MS }))
      tell({ redriven: step.redriven })
      if (!step.more) return undefined
      // The redrive goes on, and the next call joins it, wherever it begins.
      if (isOver()) return '0'
    }
  },

  async discard({ call }, { name, key }) {
    // The field's name comes from iii, which counts discarded messages as `redriven`, too.
    const result = count.parse(await call('iii::queue::discard_message', { queue: name, message_id: key }))
    return result.redriven > 0 ? { discarded: result.redriven } : notFound(name, key)
  },
}

/** Where a page begins: after a seq or, with a provider that has none, at an offset. */
interface From {
  readonly offset: number
  readonly after_seq?: number
  readonly after_queue?: string
}

async function fetchPage(
  { ask }: System,
  topic: string,
  page: From & { readonly limit: number; readonly brief?: true; readonly message_id?: string },
): Promise<z.output<typeof messages>> {
  return messages.parse(await ask('engine::queue::dlq_messages', { topic, ...page }))
}

function toLetter(queue: string, found: z.output<typeof message>): Letter {
  const what = `message for ${found.function_id ?? 'a function'}`
  return {
    id: letterId({ source: 'queue', name: queue, key: found.id }),
    source: 'queue',
    name: queue,
    what,
    status: 'dead',
    error: found.error,
    attempts: found.retries,
    failedAt: new Date(failedAt(found)).toISOString(),
    waiting: 0,
    fingerprint: fingerprint({ source: 'queue', name: queue, kind: what }, found.error),
  }
}

/**
 * In milliseconds since 1970. iii's own `failed_at` has whole seconds: rounded down, a letter would seem to have
 * failed before events that preceded it.
 */
function failedAt({ failed_at, history }: z.output<typeof message>): number {
  return failures.safeParse(history).data?.at(-1)?.at ?? failed_at * 1_000
}

function notFound(queue: string, id: string): never {
  throw new CqrsError(
    'CQRS_NOT_FOUND',
    `The queue ${queue} has no dead letter ${id} (any more); list the letters again.`,
  )
}
