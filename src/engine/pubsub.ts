import type { Hub } from './hub.ts'
import { readInput } from './input.ts'
import { failure, NOTHING } from './outcome.ts'
import { scanObject } from './raw-json.ts'
import type { Trigger, TriggerProvider } from './triggers.ts'

/** The name under which publish and subscribe appear among the workers. */
export const PUBSUB_WORKER = 'iii-pubsub'

/**
 * Publish and subscribe within this engine: the function `publish {topic, data}` runs the functions that are bound by
 * triggers of type `subscribe {topic}`, with the bare `data`. The publisher does not wait for them, and nothing is
 * stored: a function that is not subscribed at that moment misses the message.
 */
export function offerPubSub(hub: Hub): void {
  const subscriptions = new Subscriptions()
  hub.triggers.registerType({
    id: 'subscribe',
    description: 'Runs a function for every message published to a topic.',
    configSchema: SUBSCRIBE_SCHEMA,
    callSchema: undefined,
    provider: subscriptions,
    owner: undefined,
  })
  hub.offer({
    id: 'publish',
    description: 'Publishes a message to the subscribers of a topic.',
    requestFormat: PUBLISH_SCHEMA,
    responseFormat: undefined,
    metadata: undefined,
    owner: ({ data, trace }) => {
      const input = readInput('publish', data, { topic: 'string', data: 'any' })
      if (!input.ok) return input.outcome
      if (input.value.topic === '') return failure('topic_not_set', 'The topic is empty.')
      const message = scanObject(data).fields.get('data') ?? 'null'
      for (const trigger of subscriptions.of(input.value.topic))
        hub.run(trigger.functionId, message, undefined, trace)
      return NOTHING
    },
  })
}

class Subscriptions implements TriggerProvider {
  readonly #byTopic = new Map<string, Map<string, Trigger>>()

  of(topic: string): Trigger[] {
    return [...(this.#byTopic.get(topic)?.values() ?? [])]
  }

  register(trigger: Trigger): undefined {
    const topic = topicOf(trigger)
    // Without a topic the binding exists and never fires, as in the real engine.
    if (topic === '') return
    const subscribers = this.#byTopic.get(topic) ?? new Map<string, Trigger>()
    subscribers.set(trigger.id, trigger)
    this.#byTopic.set(topic, subscribers)
  }

  replay(trigger: Trigger): undefined {
    this.register(trigger)
  }

  unregister(trigger: Trigger): void {
    const topic = topicOf(trigger)
    const subscribers = this.#byTopic.get(topic)
    subscribers?.delete(trigger.id)
    if (subscribers?.size === 0) this.#byTopic.delete(topic)
  }
}

function topicOf(trigger: Trigger): string {
  const topic = (trigger.config as { topic?: unknown } | null)?.topic
  return typeof topic === 'string' ? topic : ''
}

const SUBSCRIBE_SCHEMA = {
  type: 'object',
  properties: { topic: { type: 'string' } },
  required: ['topic'],
}

const PUBLISH_SCHEMA = {
  type: 'object',
  properties: { topic: { type: 'string' }, data: {} },
  required: ['topic', 'data'],
}
