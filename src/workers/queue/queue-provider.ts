import type { IIIClient } from 'iii-sdk'
import type { Logger } from 'pino'
import { z } from 'zod'
import { reachedNextTurn } from '../../boundaries.ts'
import { isCqrsError } from '../../kernel/errors.ts'
import { PAGE_CHARACTERS } from '../../kernel/json-size.ts'
import type { DurableQueue } from '../../queue/queue.ts'
import { withinFrame } from '../link/within-frame.ts'
import type { Metrics } from '../process/metrics.ts'
import { relayTracing, type Tracing } from '../process/tracing.ts'
import { LongRedrives } from './long-redrives.ts'
import { counted, deliverBy } from './queue-delivery.ts'
import { watchEngine } from './queue-engine-watch.ts'
import {
  definePayload,
  enqueuePayload,
  listPayload,
  messagePayload,
  pagePayload,
  parsePayload,
  publishPayload,
  queuePayload,
  redrivePayload,
  settingsWithoutEffect,
  subscriberConfig,
  subscriberSettings,
  unsubscribePayload,
} from './queue-payloads.ts'
import { summarise, toDlqMessage, toListed } from './queue-views.ts'

/** The function that the engine calls for TriggerAction.Enqueue. */
const ENQUEUE = 'engine::queue::enqueue'

const anything = z.unknown()

export interface QueueProviderOptions {
  /** The connection to the engine. */
  iii: IIIClient
  /** The queue; this process owns its store. The provider starts it. */
  queue: DurableQueue
  log: Logger
  /** Counts messages and deliveries, if given. */
  metrics?: Pick<Metrics, 'enqueued' | 'delivery'>
  /** By default contexts pass through, and nothing is recorded. */
  tracing?: Pick<Tracing, 'current' | 'within'>
  /** How long deliveries in flight may take to finish when the provider stops. Default 10,000 ms. */
  drainMs?: number
}

/** A provider that is registered on an engine. */
export interface QueueProvider {
  /**
   * Takes no more messages, waits for the deliveries in flight, and closes the queue. Returns how many deliveries did
   * not finish in time; those messages are delivered again after the next start.
   */
  stop(): Promise<number>
}

/**
 * Makes a {@link DurableQueue} the queue provider of an iii engine: TriggerAction.Enqueue, durable topics,
 * the functions of iii's console and command line, and four of its own (pause, resume, list, unsubscribe).
 */
export function registerQueueProvider({
  iii,
  queue,
  log,
  drainMs,
  metrics,
  tracing = relayTracing(),
}: QueueProviderOptions): QueueProvider {
  const registered = new Map<string, () => { unregister(): void }>()
  let references: { unregister(): void }[] = []
  const register = <Input>(
    id: string,
    schema: z.ZodType<Input>,
    description: string,
    handle: (input: Input) => Promise<unknown>,
  ): void => {
    const handler = async (payload: unknown) => {
      try {
        return await handle(parsePayload(id, schema, payload))
      } catch (error) {
        if (!isCqrsError(error)) log.error({ function: id, err: error }, 'a queue function failed')
        throw error
      }
    }
    registered.set(id, () => iii.registerFunction(id, withinFrame(id, handler), { description }))
  }

  const warnOfSettings = (given: unknown, of: object): void => {
    const settings = settingsWithoutEffect(given)
    if (settings.length > 0) log.warn({ ...of, settings }, 'these settings of a queue have no effect')
  }

  register(
    ENQUEUE,
    enqueuePayload,
    'Stores a message for a function; answers when it is on stable storage',
    async ({ queue: name, function_id, data, messageReceiptId, traceparent }) => {
      await queue.enqueue({ queue: name, functionId: function_id, data, id: messageReceiptId, traceparent })
      metrics?.enqueued(name)
      reachedNextTurn('receipt-sent', name)
      return { messageReceiptId }
    },
  )
  register(
    'iii::durable::publish',
    publishPayload,
    'Stores a message for every function that subscribes to a topic',
    async ({ topic, data }) => {
      const subscribers = await queue.publish(topic, data, tracing.current())
      if (subscribers === 0) log.warn({ topic }, 'published to a topic that nobody subscribes to')
      return null
    },
  )
  register(
    'queue::define',
    definePayload,
    'Defines a queue or changes its settings',
    async ({ queue: name, config }) => {
      const settings = await queue.define(name, config)
      warnOfSettings(config, { queue: name })
      return { queue: name, config: settings }
    },
  )
  const redrives = new LongRedrives(queue)
  register(
    'iii::queue::redrive',
    redrivePayload,
    'Puts all dead letters of a queue back',
    async ({ name, waitMs }) => {
      const { redriven, more } = await redrives.step(name, waitMs)
      log.info({ queue: name, redriven, more }, 'dead letters redriven')
      return { queue: name, redriven, ...(more && { more }) }
    },
  )
  register(
    'iii::queue::redrive_message',
    messagePayload,
    'Puts one dead letter back',
    async ({ name, messageId }) => {
      const redriven = await queue.redriveMessage(name, messageId)
      return { queue: name, message_id: messageId, redriven: redriven ? 1 : 0 }
    },
  )
  register(
    'iii::queue::discard_message',
    messagePayload,
    'Deletes one dead letter',
    async ({ name, messageId }) => {
      const discarded = await queue.discard(name, messageId)
      // The key is iii's: discarded messages are counted as `redriven` there, too.
      return { queue: name, message_id: messageId, redriven: discarded ? 1 : 0 }
    },
  )
  for (const [id, paused] of [
    ['iii::queue::pause', true],
    ['iii::queue::resume', false],
  ] as const) {
    const description = paused ? 'Stops the deliveries of a queue' : 'Resumes the deliveries of a queue'
    register(id, queuePayload, description, async (name) => {
      await queue.setPaused(name, paused)
      return { queue: name, paused }
    })
  }
  register(
    'iii::queue::unsubscribe',
    unsubscribePayload,
    'Ends a subscription for good and deletes what waits for it',
    async ({ topic, function_id }) => ({ unsubscribed: await queue.unsubscribe(topic, function_id) }),
  )
  register('iii::queue::list', listPayload, 'Queues with their counts and settings', async (page) => {
    const { after, limit, queue: one } = page
    const isAll = after === '' && limit === undefined
    const only = one !== undefined ? [one] : isAll ? undefined : queue.names(after, limit ?? Infinity)
    return (await queue.list(only)).map(toListed)
  })
  register('engine::queue::list_topics', anything, 'Every queue and topic', async () =>
    summarise(await queue.list()).map(({ name, broker, consumers }) => ({
      name,
      broker_type: broker,
      subscriber_count: consumers,
    })),
  )
  register('engine::queue::topic_stats', queuePayload, 'Counts of a queue or topic', async (name) => {
    const [topic] = summarise(await queue.status(name))
    return {
      depth: topic?.depth ?? 0,
      consumer_count: topic?.consumers ?? 0,
      dlq_depth: topic?.dead ?? 0,
      config: topic?.config ?? null,
    }
  })
  register('engine::queue::dlq_topics', anything, 'Dead letters of every queue and topic', async () =>
    summarise(await queue.list()).map(({ name, broker, dead }) => ({
      topic: name,
      broker_type: broker,
      message_count: dead,
    })),
  )
  register(
    'engine::queue::dlq_messages',
    pagePayload,
    'Dead letters of a queue or topic',
    async ({ name, offset, limit, after, brief, messageId }) => {
      if (messageId !== undefined) {
        const letter = await queue.findDeadLetter(name, messageId)
        return letter ? [toDlqMessage(letter, name)] : []
      }
      const letters = await queue.deadLetters(name, offset, limit, after, brief ? 0 : PAGE_CHARACTERS)
      return letters.map((letter) => toDlqMessage(letter, name))
    },
  )

  const offerTopics = () =>
    iii.registerTriggerType<unknown>(
      { id: 'durable:subscriber', description: 'Delivers the messages of a durable topic to a function' },
      {
        registerTrigger: async ({ function_id, config }) => {
          const subscriber = parsePayload('durable:subscriber', subscriberConfig, config)
          const { topic, conditionFunctionId } = subscriber
          const subscription = { topic, functionId: function_id, conditionFunctionId }
          await queue.subscribe(subscription, subscriberSettings(subscriber))
          warnOfSettings(subscriber.queueConfig, { topic, function: function_id })
          queue.functionsAvailable([function_id])
        },
        // A trigger also goes when its worker does. The subscription stays, so that no message is missed.
        unregisterTrigger: async () => {},
      },
    )

  const offer = (): void => {
    for (const reference of references) reference.unregister()
    references = [...registered.values()].map((registerIt) => registerIt())
    offerTopics()
  }
  offer()
  const watch = watchEngine({
    iii,
    queue,
    log,
    functionId: ENQUEUE,
    onLost: offer,
    onLink: () => queue.start(counted(deliverBy(iii, tracing), metrics)),
  })

  return {
    stop: async () => {
      watch.stop()
      for (const reference of references) reference.unregister()
      return queue.stop(drainMs)
    },
  }
}
