import { parseJson } from '../../kernel/json.ts'
import { MAX_DEPTH, nestsDeeper } from '../../kernel/json-size.ts'
import type { QueueStatus } from '../../queue/contract.ts'
import type { ListedLetter } from '../../queue/dead-letters.ts'
import type { QueueSettings } from '../../queue/settings.ts'

/** A queue, or a topic with all its subscribers, as iii's console shows them. */
export interface TopicSummary {
  name: string
  broker: 'function_queue' | 'builtin'
  consumers: number
  depth: number
  dead: number
  config: QueueSettings | undefined
}

/**
 * One line for each named queue and for each topic. If a topic has the same name as a queue, the name means the queue;
 * each queue of the topic's subscriptions then has a line under its own name.
 */
export function summarise(queues: QueueStatus[]): TopicSummary[] {
  const topics = new Map<string, TopicSummary>()
  const named: TopicSummary[] = []
  const taken = new Set(queues.filter(({ subscription }) => !subscription).map(({ name }) => name))
  for (const { name, settings, subscription, depth, dead } of queues) {
    if (!subscription) {
      named.push({
        name,
        broker: 'function_queue',
        consumers: settings.concurrency,
        depth,
        dead,
        config: settings,
      })
      continue
    }
    const topic = taken.has(subscription.topic) ? name : subscription.topic
    const summary = topics.get(topic) ?? {
      name: topic,
      broker: 'builtin',
      consumers: 0,
      depth: 0,
      dead: 0,
      config: undefined,
    }
    topics.set(topic, {
      ...summary,
      consumers: summary.consumers + 1,
      depth: summary.depth + depth,
      dead: summary.dead + dead,
    })
  }
  return [...named, ...topics.values()]
}

/** A line of `iii::queue::list`. */
export function toListed({
  tail: _,
  subscription,
  oldestAt,
  ...queue
}: QueueStatus): Record<string, unknown> {
  const { name, settings, paused, depth, dead, inFlight, retrying, missing } = queue
  return {
    queue: name,
    topic: subscription?.topic ?? null,
    function_id: subscription?.functionId ?? null,
    paused,
    depth,
    in_flight: inFlight,
    retrying,
    waiting_for_functions: missing,
    dlq_depth: dead,
    oldest_at: oldestAt ?? null,
    config: settings,
  }
}

/**
 * A dead letter as `engine::queue::dlq_messages` shows it, with additional keys for what iii's own keys do not cover.
 *
 * @param asked the queue or topic that was asked for
 */
export function toDlqMessage({ queue, ...letter }: ListedLetter, asked: string): Record<string, unknown> {
  return {
    id: letter.id,
    // These say where the next page begins.
    seq: letter.seq,
    ...(queue === asked ? {} : { queue }),
    payload: letter.cut ? null : payloadOf(letter.data),
    ...(letter.cut && { left_out: ['payload', 'history'] }),
    error: letter.error,
    failed_at: Math.floor(letter.failedAt / 1_000),
    retries: letter.attempts,
    size_bytes: letter.cut?.bytes ?? Buffer.byteLength(letter.data),
    function_id: letter.functionId,
    stops: letter.stops,
    history: letter.history,
  }
}

/**
 * The payload of a dead letter. If its bytes changed on the disk it may not be JSON; then it is shown as text, so that
 * it does not keep the other letters from being shown. So is a payload that nests too deep for an answer.
 */
function payloadOf(data: string): unknown {
  try {
    const payload = parseJson(data)
    return nestsDeeper(payload, MAX_DEPTH) ? data : payload
  } catch {
    return data
  }
}
