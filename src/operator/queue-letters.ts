import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import type { Letter } from './contract.ts'
import { fingerprint } from './fingerprint.ts'
import type { LetterBox } from './letter-box.ts'
import { letterId } from './letter-id.ts'
import type { System } from './system.ts'

/** How long a redrive of all letters of a queue is waited for before it is asked for again, which joins it. */
const REDRIVE_WAIT_MS = 5_000

/** Dead letters fetched at once while looking for one of them. */
const PAGE = 500

const topics = z.array(z.object({ topic: z.string(), message_count: z.number() }))
const queues = z.array(z.object({ queue: z.string(), topic: z.string().nullable() }))
const message = z.object({
  id: z.string(),
  seq: z.number().optional(),
  /** Its own queue, if a topic was asked for. */
  queue: z.string().optional(),
  payload: z.unknown(),
  error: z.string(),
  /** Seconds since 1970. */
  failed_at: z.number(),
  retries: z.number(),
  function_id: z.string().optional(),
  history: z.unknown().optional(),
})
/** Between a topic and the function in the name of a subscription's own queue. */
const OF_SUBSCRIPTION = '::'

/** When each delivery failed, in milliseconds since 1970. */
const failures = z.array(z.object({ at: z.number() })).min(1)
const messages = z.array(message)
const count = z.object({ redriven: z.number(), more: z.boolean().optional() })

/** The dead letters of the queues, as the queue worker tells of them. */
export const queueLetters: LetterBox = {
  source: 'queue',

  async names({ ask }, wanted) {
    const found = topics.parse(await ask('engine::queue::dlq_topics', {}))
    const names = found.filter(({ message_count }) => message_count > 0).map(({ topic }) => topic)
    // The letters of a subscription stand under its topic; the name of its own queue means them, too, and no others.
    if (!wanted?.includes(OF_SUBSCRIPTION) || names.includes(wanted)) return names
    const all = queues.parse(await ask('iii::queue::list', {}))
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
    // A provider that is not ours knows no seq: it counts.
    return page.map((found, index) => ({
      letter: toLetter(queue, found),
      cursor:
        found.seq === undefined
          ? `offset.${from.offset + index + 1}`
          : ['seq', found.seq, ...(found.queue === undefined ? [] : [found.queue])].join('.'),
    }))
  },

  async show(system, { name, key }) {
    for (let offset = 0; ; offset += PAGE) {
      const page = await fetchPage(system, name, { offset, limit: PAGE, message_id: key })
      const found = page.find(({ id }) => id === key)
      if (found) {
        return { ...toLetter(name, found), content: found.payload, failures: found.history ?? [], behind: [] }
      }
      // A provider that is not ours does not look one up: it gives all, page by page.
      if (page.length < PAGE) return notFound(name, key)
    }
  },

  async redrive({ call }, { name, key }) {
    const result = count.parse(await call('iii::queue::redrive_message', { queue: name, message_id: key }))
    return result.redriven > 0 ? result : notFound(name, key)
  },

  async redriveAll({ call }, queue, tell) {
    for (let more = true; more; ) {
      const step = count.parse(await call('iii::queue::redrive', { queue, wait_ms: REDRIVE_WAIT_MS }))
      tell({ redriven: step.redriven })
      more = step.more ?? false
    }
  },

  async discard({ call }, { name, key }) {
    // The key is iii's: it counts discarded messages as `redriven`, too.
    const result = count.parse(await call('iii::queue::discard_message', { queue: name, message_id: key }))
    return result.redriven > 0 ? { discarded: result.redriven } : notFound(name, key)
  },
}

/** Where a page begins: by the seq of the letter before it, or, at a provider that knows none, by how many come before. */
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

/** In milliseconds since 1970: iii's own key has seconds, which would put a letter before what came before it. */
function failedAt({ failed_at, history }: z.output<typeof message>): number {
  return failures.safeParse(history).data?.at(-1)?.at ?? failed_at * 1_000
}

function notFound(queue: string, id: string): never {
  throw new CqrsError(
    'CQRS_NOT_FOUND',
    `The queue ${queue} has no dead letter ${id} (any more); list them again.`,
  )
}
