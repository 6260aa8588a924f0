import { join } from 'node:path'
import { type IIIClient, TriggerAction } from 'iii-sdk'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { DurableQueueOptions } from '../../src/queue/options.ts'
import { DurableQueue } from '../../src/queue/queue.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { registerQueueProvider } from '../../src/workers/queue/queue-provider.ts'
import { connect } from '../support/connect.ts'
import { ENGINE_KINDS, type EngineKind } from '../support/engines.ts'
import { silent } from '../support/queue-harness.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { eventually } from '../support/until.ts'

type Call = (functionId: string, payload?: unknown) => Promise<unknown>

/** An engine with the queue provider, and a worker that calls and offers functions. */
async function startWorld(
  kind: EngineKind,
  options: Partial<DurableQueueOptions> = {},
  folder = tempFolder(),
) {
  const engine = await kind.start()
  onTestFinished(() => engine.stop())
  const proxy = await TcpProxy.to(engine.url)
  onTestFinished(() => proxy.close())
  const store = await openSqliteQueueStore({ folder: join(folder, 'queue') })
  const queue = await DurableQueue.open({
    store,
    log: silent,
    probeMs: 60_000,
    queues: { jobs: { backoff_ms: 10 }, orders: { type: 'fifo', message_group_field: 'order' } },
    ...options,
  })
  const provider = registerQueueProvider({ iii: connect(proxy.url), queue, log: silent, drainMs: 1_000 })
  onTestFinished(() => provider.stop().then(() => undefined))
  const worker = connect(engine.url)
  const call: Call = (function_id, payload = {}) => worker.trigger({ function_id, payload })
  await eventuallyAnswers(() => call('engine::queue::list_topics'))
  const enqueue = (queue: string, function_id: string, payload: unknown) =>
    worker.trigger({ function_id, payload, action: TriggerAction.Enqueue({ queue }) })
  return {
    engine,
    proxy,
    queue,
    provider,
    worker,
    call,
    enqueue,
    stats: (topic: string) => statsOf(call, topic),
  }
}

async function statsOf(call: Call, topic: string) {
  return (await call('engine::queue::topic_stats', { topic })) as { depth: number; dlq_depth: number }
}

async function eventuallyAnswers(ask: () => Promise<unknown>): Promise<void> {
  let answered = false
  while (!answered)
    answered = await ask()
      .then(() => true)
      .catch(() => false)
}

/** Asks until the answer is as wanted. */
async function eventuallyEquals(ask: () => Promise<unknown>, wanted: object): Promise<void> {
  const deadline = performance.now() + 10_000
  for (let answer = await ask(); ; answer = await ask()) {
    try {
      expect(answer).toMatchObject(wanted)
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
  }
}

/** Offers a function that notes what it is called with. */
function recorder(
  worker: IIIClient,
  id: string,
  react: (payload: Record<string, unknown>) => unknown = () => null,
) {
  const calls: Record<string, unknown>[] = []
  const reference = worker.registerFunction(id, async ({ _caller_worker_id: _, ...payload }) => {
    calls.push(payload)
    return react(payload)
  })
  return { calls, reference }
}

for (const kind of ENGINE_KINDS) {
  const { missing } = kind
  if (missing === undefined) describe(`the queue provider on ${kind.name}`, () => provider(kind))
  else describe.skipIf(true)(kind.name, () => test(`skipped: ${missing}`, () => {}))
}

function provider(kind: EngineKind): void {
  const world = (options?: Partial<DurableQueueOptions>) => startWorld(kind, options)

  test('an enqueued call is acknowledged with a receipt, runs once, and is gone', async () => {
    const { worker, enqueue, stats } = await world()
    const { calls } = recorder(worker, 'job::run')
    expect(await enqueue('jobs', 'job::run', { n: 1 })).toEqual({ messageReceiptId: expect.any(String) })
    await eventually(() => calls.length === 1)
    expect(calls).toEqual([{ n: 1 }])
    await eventuallyEquals(() => stats('jobs'), { depth: 0, dlq_depth: 0 })
  })

  test('a message of the largest length that can be set is delivered, and a dead letter shows it whole', async () => {
    const maxDataLength = 4_194_304
    const { worker, enqueue, call, stats } = await world({
      maxDataLength,
      queues: { jobs: { max_retries: 1 } },
    })
    const { calls } = recorder(worker, 'job::run', () => {
      throw new Error('no')
    })
    // Three bytes each, and the eight characters around them.
    const text = '€'.repeat(maxDataLength - 8)
    await enqueue('jobs', 'job::run', { s: text })
    await expect(enqueue('jobs', 'job::run', { s: `${text}€` })).rejects.toThrow(/CQRS_QUEUE_MAX_DATA_LENGTH/)
    await eventuallyEquals(() => stats('jobs'), { depth: 0, dlq_depth: 1 })
    expect(calls.map(({ s }) => s === text)).toEqual([true])
    const [letter] = (await call('engine::queue::dlq_messages', { topic: 'jobs' })) as { payload: unknown }[]
    expect(JSON.stringify(letter?.payload).length).toBe(maxDataLength)
  })

  test('a receipt that comes twice is acknowledged twice and runs once', async () => {
    const { worker, call } = await world()
    const { calls } = recorder(worker, 'job::run')
    const message = { queue: 'jobs', function_id: 'job::run', data: { n: 1 }, messageReceiptId: 'r1' }
    expect(await call('engine::queue::enqueue', message)).toEqual({ messageReceiptId: 'r1' })
    expect(await call('engine::queue::enqueue', message)).toEqual({ messageReceiptId: 'r1' })
    await call('engine::queue::enqueue', { ...message, messageReceiptId: 'r2' })
    await eventually(() => calls.length === 2)
  })

  test('a function that keeps failing leaves a dead letter that can be browsed and redriven', async () => {
    const { worker, enqueue, call, stats } = await world()
    const healed = { yes: false }
    const { calls } = recorder(worker, 'job::run', () => {
      if (!healed.yes) throw new Error('out of stock')
    })
    const before = Math.floor(Date.now() / 1_000)
    const { messageReceiptId } = await enqueue('jobs', 'job::run', { n: 1 })
    await eventuallyEquals(() => stats('jobs'), { depth: 0, dlq_depth: 1 })
    expect(calls).toHaveLength(3)
    const [letter] = (await call('engine::queue::dlq_messages', { topic: 'jobs' })) as Record<
      string,
      unknown
    >[]
    expect(letter).toMatchObject({ id: messageReceiptId, payload: { n: 1 }, retries: 3, size_bytes: 7 })
    expect(letter?.error).toContain('out of stock')
    expect(letter?.failed_at).toBeGreaterThanOrEqual(before)
    expect(letter?.history).toHaveLength(3)
    expect(await call('engine::queue::dlq_topics')).toContainEqual({
      topic: 'jobs',
      broker_type: 'function_queue',
      message_count: 1,
    })
    healed.yes = true
    expect(await call('iii::queue::redrive', { queue: 'jobs' })).toEqual({ queue: 'jobs', redriven: 1 })
    await eventuallyEquals(() => stats('jobs'), { depth: 0, dlq_depth: 0 })
    expect(calls).toHaveLength(4)
  })

  test('one dead letter can be redriven or discarded by its id', async () => {
    const { worker, enqueue, call, stats } = await world()
    recorder(worker, 'job::run', () => {
      throw new Error('no')
    })
    await call('queue::define', { queue: 'jobs', config: { max_retries: 1 } })
    const { messageReceiptId: id } = await enqueue('jobs', 'job::run', {})
    await eventuallyEquals(() => stats('jobs'), { dlq_depth: 1 })
    const answer = { queue: 'jobs', message_id: id, redriven: 1 }
    expect(await call('iii::queue::redrive_message', { topic: 'jobs', message_id: id })).toEqual(answer)
    await eventuallyEquals(() => stats('jobs'), { depth: 0, dlq_depth: 1 })
    expect(await call('iii::queue::discard_message', { queue: 'jobs', message_id: id })).toEqual(answer)
    expect(await call('iii::queue::discard_message', { queue: 'jobs', message_id: id })).toEqual({
      ...answer,
      redriven: 0,
    })
    expect(await stats('jobs')).toMatchObject({ depth: 0, dlq_depth: 0 })
  })

  test('a message waits for its function to be registered, without burning attempts', async () => {
    const { worker, enqueue, stats } = await world({ queues: { jobs: { max_retries: 1 } } })
    await enqueue('jobs', 'late::run', { n: 1 })
    expect(await stats('jobs')).toMatchObject({ depth: 1, dlq_depth: 0 })
    const { calls } = recorder(worker, 'late::run')
    await eventually(() => calls.length === 1)
  })

  test('a message whose worker goes away in flight runs again when another worker offers the function', async () => {
    const { engine, enqueue, stats } = await world({ queues: { jobs: { max_retries: 1 } } })
    const first = connect(engine.url)
    const hanging = recorder(first, 'job::run', () => new Promise(() => {}))
    await enqueue('jobs', 'job::run', { n: 1 })
    await eventually(() => hanging.calls.length === 1)
    await first.shutdown()
    const { calls } = recorder(connect(engine.url), 'job::run')
    await eventually(() => calls.length === 1)
    await eventuallyEquals(() => stats('jobs'), { depth: 0, dlq_depth: 0 })
  })

  test('after the link to the engine was cut, what was in flight is delivered again', async () => {
    const { proxy, worker, enqueue, stats } = await world()
    let hang = true
    const { calls } = recorder(worker, 'job::run', () => (hang ? new Promise(() => {}) : null))
    await enqueue('jobs', 'job::run', { n: 1 })
    await eventually(() => calls.length === 1)
    hang = false
    await proxy.breakConnections()
    await eventually(() => calls.length === 2)
    await eventuallyEquals(() => stats('jobs'), { depth: 0, dlq_depth: 0 })
  })

  test('a fifo message without its group is refused, and so are unknown queues and bad settings', async () => {
    const { worker, enqueue, call } = await world()
    recorder(worker, 'job::run')
    await expect(enqueue('orders', 'job::run', { total: 3 })).rejects.toMatchObject({
      code: 'enqueue_error',
      message: expect.stringContaining('"order"'),
    })
    await expect(enqueue('orders', 'job::run', { order: null })).rejects.toThrow(/null/)
    await expect(enqueue('orders', 'job::run', 'text')).rejects.toThrow(/"order"/)
    await expect(enqueue('nowhere', 'job::run', {})).rejects.toThrow(/no queue "nowhere".*Known: .*jobs/)
    await expect(call('queue::define', { queue: 'x', config: { concurrency: 0 } })).rejects.toThrow(
      /concurrency/,
    )
    await expect(call('queue::define', { queue: 'x', config: { type: 'fifo' } })).rejects.toThrow(
      /message_group_field/,
    )
    await expect(call('queue::define', { queue: 'x', config: { retries: 1 } })).rejects.toThrow(/retries/)
    await expect(call('engine::queue::topic_stats', { topic: 'nowhere' })).rejects.toThrow(/nowhere/)
    await expect(call('engine::queue::enqueue', { queue: 'jobs' })).rejects.toThrow(
      /function_id.*messageReceiptId/,
    )
  })

  test('a queue that was defined appears in the lists with its settings', async () => {
    const { call } = await world()
    const answer = await call('queue::define', { queue: 'mails', config: { concurrency: 3 } })
    expect(answer).toMatchObject({ queue: 'mails', config: { concurrency: 3, max_retries: 3 } })
    expect(await call('engine::queue::list_topics')).toContainEqual({
      name: 'mails',
      broker_type: 'function_queue',
      subscriber_count: 3,
    })
    expect(await call('engine::queue::topic_stats', { topic: 'mails' })).toMatchObject({
      depth: 0,
      consumer_count: 3,
      dlq_depth: 0,
      config: { concurrency: 3 },
    })
  })

  test('a fifo queue keeps its type while it holds messages', async () => {
    const { enqueue, call } = await world()
    await enqueue('orders', 'missing::run', { order: 1 })
    await expect(call('queue::define', { queue: 'orders', config: {} })).rejects.toThrow(
      /only while it is empty/,
    )
  })

  test('every function that subscribes to a topic gets each message, also one that was away', async () => {
    const { engine, worker, call } = await world()
    const away = connect(engine.url)
    const stays = recorder(worker, 'stays::run')
    recorder(away, 'goes::run')
    for (const [iii, function_id] of [
      [worker, 'stays::run'],
      [away, 'goes::run'],
    ] as const) {
      iii.registerTrigger({ type: 'durable:subscriber', function_id, config: { topic: 'orders.created' } })
    }
    await eventuallyEquals(
      () => call('engine::queue::list_topics'),
      expect.arrayContaining([{ name: 'orders.created', broker_type: 'builtin', subscriber_count: 2 }]),
    )
    await away.shutdown()
    await call('iii::durable::publish', { topic: 'orders.created', data: { n: 1 } })
    await eventually(() => stays.calls.length === 1)
    const back = recorder(connect(engine.url), 'goes::run')
    await eventually(() => back.calls.length === 1)
    expect([stays.calls, back.calls]).toEqual([[{ n: 1 }], [{ n: 1 }]])
  })

  test('a subscriber is tried as often as it asks for, and a setting that is not known is refused', async () => {
    const { worker, call, stats } = await world()
    const { calls } = recorder(worker, 'strict::run', () => {
      throw new Error('no')
    })
    const subscribe = (topic: string, queue_config: object) =>
      worker.registerTrigger({
        type: 'durable:subscriber',
        function_id: 'strict::run',
        config: { topic, queue_config },
      })
    subscribe('typos', { maxRetry: 1 })
    subscribe('news', { maxRetries: 1, backoffDelayMs: 10 })
    await eventuallyAnswers(() => stats('news'))
    await expect(stats('typos')).rejects.toThrow(/typos/)
    await call('iii::durable::publish', { topic: 'news', data: { n: 1 } })
    await eventuallyEquals(() => stats('news'), { depth: 0, dlq_depth: 1 })
    // The first delivery and one retry, as with iii's own queue.
    expect(calls).toHaveLength(2)
  })

  test('a condition that answers false skips the message, anything else lets it pass', async () => {
    const { worker, call, stats } = await world()
    const { calls } = recorder(worker, 'big::run')
    recorder(worker, 'is::big', ({ n }) => (Number(n) > 5 ? null : false))
    worker.registerTrigger({
      type: 'durable:subscriber',
      function_id: 'big::run',
      config: { queue: 'sales', condition_function_id: 'is::big', queue_config: { type: 'fifo' } },
    })
    await eventuallyAnswers(() => stats('sales'))
    for (const n of [1, 9, 3, 7]) await call('iii::durable::publish', { topic: 'sales', data: { n } })
    await eventually(() => calls.length === 2)
    expect(calls).toEqual([{ n: 9 }, { n: 7 }])
    await eventuallyEquals(() => stats('sales'), { depth: 0, dlq_depth: 0 })
  })

  test('a subscription that is ended for good gets nothing more', async () => {
    const { worker, call, stats } = await world()
    recorder(worker, 'old::run')
    worker.registerTrigger({ type: 'durable:subscriber', function_id: 'old::run', config: { topic: 'news' } })
    await eventuallyAnswers(() => stats('news'))
    const ended = { topic: 'news', function_id: 'old::run' }
    expect(await call('iii::queue::unsubscribe', ended)).toEqual({ unsubscribed: true })
    expect(await call('iii::queue::unsubscribe', ended)).toEqual({ unsubscribed: false })
    await expect(stats('news')).rejects.toThrow(/news/)
  })

  test('a queue can be paused, resumed and watched', async () => {
    const { worker, enqueue, call } = await world()
    const { calls } = recorder(worker, 'job::run')
    expect(await call('iii::queue::pause', { queue: 'jobs' })).toEqual({ queue: 'jobs', paused: true })
    await enqueue('jobs', 'job::run', { n: 1 })
    expect(await call('iii::queue::list')).toContainEqual(
      expect.objectContaining({ queue: 'jobs', paused: true, depth: 1, in_flight: 0, dlq_depth: 0 }),
    )
    expect(calls).toEqual([])
    await call('iii::queue::resume', { queue: 'jobs' })
    await eventually(() => calls.length === 1)
  })

  test('queues are listed page by page, and one alone', async () => {
    const { call } = await world({ queues: { b: {}, a: {}, c: {} } })
    const names = async (page: object) => {
      const listed = (await call('iii::queue::list', page)) as { queue: string }[]
      return listed.map(({ queue }) => queue)
    }
    expect(await names({})).toEqual(['a', 'b', 'c', 'default'])
    expect(await names({ limit: 2 })).toEqual(['a', 'b'])
    expect(await names({ after: 'b', limit: 2 })).toEqual(['c', 'default'])
    expect(await names({ after: 'c' })).toEqual(['default'])
    expect([await names({ queue: 'b' }), await names({ queue: 'x' })]).toEqual([['b'], []])
  })

  test('stopping lets the call in flight finish and leaves the rest to the next provider', async () => {
    const { worker, enqueue, provider } = await world({ queues: { jobs: { concurrency: 1 } } })
    let finish: (() => void) | undefined
    const { calls } = recorder(worker, 'job::run', () => new Promise<void>((resolve) => (finish = resolve)))
    await enqueue('jobs', 'job::run', { n: 1 })
    await enqueue('jobs', 'job::run', { n: 2 })
    await eventually(() => finish !== undefined)
    const stopped = provider.stop()
    finish?.()
    expect(await stopped).toBe(0)
    expect(calls).toEqual([{ n: 1 }])
  })

  test('a provider whose functions another worker replaced and then removed registers them again', async () => {
    const { engine, worker, enqueue } = await world()
    const { calls } = recorder(worker, 'job::run')
    const thief = connect(engine.url)
    thief.registerFunction('engine::queue::enqueue', async () => ({ stolen: true }))
    await eventuallyEquals(() => thief.trigger({ function_id: 'engine::queue::enqueue', payload: {} }), {
      stolen: true,
    })
    await thief.shutdown()
    await eventuallyAnswers(() => enqueue('jobs', 'job::run', { n: 1 }))
    await eventually(() => calls.length === 1)
  })
}
