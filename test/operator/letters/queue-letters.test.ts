import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { listLetters, showLetter } from '../../../src/operator/letters/letters.ts'
import { discardLetters, redriveLetters } from '../../../src/operator/letters/letters-bulk.ts'
import { DurableQueue } from '../../../src/queue/queue.ts'
import { openSqliteQueueStore } from '../../../src/queue/sqlite/store.ts'
import { callError, operatedQueue } from '../../support/operated-queue.ts'
import { silent } from '../../support/queue-harness.ts'
import { tempFolder } from '../../support/temp-folder.ts'
import { eventually, until } from '../../support/until.ts'

const ada = { by: 'ada', from: 'cli' }
const QUICK = { max_retries: 1, max_stops: 1, backoff_ms: 0, concurrency: 100 }

const fails = () => {
  throw callError('invocation_failed', 'no such shelf')
}

test('a filter means letters whose worker died, too, though no attempt of theirs has failed', async () => {
  const { queue, functions, system, dead } = await operatedQueue({ queues: { jobs: QUICK } })
  functions['job::run'] = () => {
    throw callError('invocation_stopped', 'the worker died')
  }
  for (const id of ['a', 'b', 'c']) {
    await queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: {}, id })
  }
  await dead('jobs', 3)
  const filter = { source: 'queue', error: 'died' }
  expect(await redriveLetters(system, { ...filter, dryRun: true })).toMatchObject({ matched: 3 })
  functions['job::run'] = () => null
  expect(await redriveLetters(system, filter)).toMatchObject({ matched: 3, redriven: 3 })
  expect(await listLetters(system, {})).toMatchObject({ letters: [] })
})

test('a letter that came a moment after the first call is not among those meant', async () => {
  const { queue, functions, system, dead } = await operatedQueue({ queues: { jobs: QUICK } })
  functions['job::run'] = fails
  // Not at the very beginning of a second.
  await eventually(() => Date.now() % 1_000 > 10)
  await queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: {}, id: 'a' })
  await dead('jobs', 1)
  const failedAt = (await queue.deadLetters('jobs', 0, 1))[0]?.failedAt ?? 0
  const request = { source: 'queue', error: 'shelf', reason: 'a test' }
  const asOf = (at: number) => ({ ...request, asOf: new Date(at).toISOString() })
  expect(await discardLetters(system, asOf(failedAt - 1), ada)).toMatchObject({ discarded: 0 })
  expect(await discardLetters(system, asOf(failedAt), ada)).toMatchObject({ discarded: 1 })
})

test('letters of a topic with several subscribers are all walked through while they are discarded', async () => {
  const { queue, functions, system, dead } = await operatedQueue()
  for (const functionId of ['mail::send', 'audit::note']) {
    functions[functionId] = fails
    const settings = { ...(await queue.define('settings', QUICK)) }
    await queue.subscribe({ topic: 'orders', functionId, conditionFunctionId: undefined }, settings)
  }
  await Promise.all(Array.from({ length: 600 }, (_, n) => queue.publish('orders', { n })))
  await dead('orders', 1_200)
  const request = { source: 'queue', name: 'orders', error: 'shelf', reason: 'a test' }
  const dry = await discardLetters(system, { ...request, dryRun: true }, ada)
  let after = dry.next
  let matched = dry.matched ?? 0
  while (after) {
    const step = await discardLetters(system, { ...request, dryRun: true, after }, ada)
    matched += step.matched ?? 0
    after = step.next
  }
  expect(matched).toBe(1_200)
  let discarded = 0
  let next: string | null | undefined
  do {
    const step = await discardLetters(system, { ...request, ...(next && { after: next }) }, ada)
    discarded += step.discarded
    next = step.next
  } while (next)
  expect(discarded).toBe(1_200)
})

test('a name means what has it: the letters of one subscription, and not those of a longer name', async () => {
  const { queue, functions, system, dead } = await operatedQueue({
    queues: { orders: QUICK, 'orders.paid': QUICK },
  })
  const settings = await queue.define('settings', QUICK)
  for (const functionId of ['mail::send', 'audit::note']) {
    functions[functionId] = fails
    await queue.subscribe({ topic: 'orders.created', functionId, conditionFunctionId: undefined }, settings)
  }
  for (const name of ['orders', 'orders.paid']) {
    await queue.enqueue({ queue: name, functionId: 'mail::send', data: {}, id: 'a' })
    await dead(name, 1)
  }
  await queue.publish('orders.created', {})
  await dead('orders.created', 2)
  const counted = async (name: string) =>
    (await discardLetters(system, { name, dryRun: true, reason: 'a test' }, ada)).matched
  expect(await counted('orders')).toBe(1)
  expect(await counted('orders.created')).toBe(2)
  const name = 'orders.created::mail::send'
  const { letters } = await listLetters(system, { name })
  expect(letters).toMatchObject([{ name, what: 'message for mail::send' }])
  expect(await redriveLetters(system, { name })).toMatchObject({ redriven: 1 })
  await dead('orders.created', 2)
  expect(await redriveLetters(system, { name, error: 'shelf' })).toMatchObject({ redriven: 1 })
  await dead('orders.created', 2)
  expect(await redriveLetters(system, { id: letters[0]?.id })).toMatchObject({ redriven: 1 })
  await dead('orders.created', 2)
  expect(await discardLetters(system, { name, reason: 'a test' }, ada)).toMatchObject({ discarded: 1 })
  expect(await counted('orders.created')).toBe(1)
  expect(await redriveLetters(system, { name })).toMatchObject({ redriven: 0 })
})

test('letters of a topic that a queue shares its name with are listed, and each once', async () => {
  const { queue, functions, system, dead } = await operatedQueue({ queues: { orders: QUICK } })
  functions['job::run'] = fails
  functions['mail::send'] = fails
  const settings = await queue.define('settings', QUICK)
  const subscription = { topic: 'orders', functionId: 'mail::send', conditionFunctionId: undefined }
  await queue.subscribe(subscription, settings)
  await queue.enqueue({ queue: 'orders', functionId: 'job::run', data: {}, id: 'a' })
  await queue.publish('orders', {})
  await dead('orders', 1)
  await dead('orders::mail::send', 1)
  const { letters } = await listLetters(system, {})
  expect(letters.map(({ what }) => what).sort()).toEqual(['message for job::run', 'message for mail::send'])
  expect(await redriveLetters(system, { all: true })).toMatchObject({ redriven: 2 })
})

test('a letter whose receipt has a colon can be shown, redriven and discarded', async () => {
  const { queue, functions, system, dead } = await operatedQueue({ queues: { jobs: QUICK } })
  functions['job::run'] = fails
  for (const id of ['order:42', 'order:43', '100%', 'a%3Ab']) {
    await queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: {}, id })
  }
  await dead('jobs', 4)
  const { letters } = await listLetters(system, {})
  expect(new Set(letters.map(({ id }) => id)).size).toBe(4)
  const [first, ...others] = letters
  expect(await discardLetters(system, { id: first?.id, reason: 'a test' }, ada)).toEqual({ discarded: 1 })
  for (const { id } of others.slice(1)) expect(await redriveLetters(system, { id })).toEqual({ redriven: 1 })
  await dead('jobs', 3)
  expect(await discardLetters(system, { error: 'shelf', reason: 'x' }, ada)).toMatchObject({ discarded: 3 })
})

test('a message whose bytes changed is listed with what is left of it, and can be discarded', async () => {
  const folder = tempFolder()
  const store = await openSqliteQueueStore({ folder })
  const before = await DurableQueue.open({ store, log: silent, queues: { jobs: QUICK } })
  for (const id of ['a', 'b', 'c']) {
    await before.enqueue({ queue: 'jobs', functionId: 'job::run', data: { id }, id })
  }
  await before.stop(0)
  const db = new DatabaseSync(join(folder, 'queue.db'))
  db.exec(`UPDATE messages SET data = '{"id":' WHERE message_id = 'a'`)
  db.exec(`UPDATE messages SET data = '{"id":"d"}' WHERE message_id = 'b'`)
  db.close()

  const { functions, system, dead } = await operatedQueue({ queues: { jobs: QUICK } }, folder)
  functions['job::run'] = fails
  await dead('jobs', 3)
  const { letters } = await listLetters(system, {})
  expect(letters.map(({ id }) => id)).toEqual(['queue:jobs:a', 'queue:jobs:b', 'queue:jobs:c'])
  expect(await showLetter(system, { id: 'queue:jobs:a' })).toMatchObject({ content: '{"id":' })
  expect(await discardLetters(system, { error: 'changed on the disk', reason: 'x' }, ada)).toMatchObject({
    discarded: 2,
  })
})

test('letters whose payloads together are larger than a frame of the engine can all be listed, and shown one by one', async () => {
  const { queue, functions, system, call, dead } = await operatedQueue({ queues: { jobs: QUICK } })
  functions['job::run'] = fails
  const text = 'x'.repeat(1_000_000)
  const ids = Array.from({ length: 6 }, (_, n) => `m-${n}`)
  for (const id of ids) await queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: { id, text }, id })
  await dead('jobs', ids.length)
  const answers: number[] = []
  const ask = async (id: string, payload: unknown) => {
    const answer = await system.ask(id, payload)
    answers.push(JSON.stringify(answer).length)
    return answer
  }
  const { letters } = await listLetters({ ...system, ask }, {})
  expect(letters.map(({ id }) => id)).toEqual(ids.map((id) => `queue:jobs:${id}`))
  expect(Math.max(...answers)).toBeLessThan(10_000)
  const shown = await showLetter({ ...system, ask }, { id: 'queue:jobs:m-5' })
  expect(shown).toMatchObject({
    content: { id: 'm-5', text },
    failures: [{ error: expect.stringMatching('shelf') }],
  })
  expect(Math.max(...answers)).toBeLessThan(1_100_000)

  // Whoever asks for all payloads gets as many as fit, and is told which are missing.
  const page = (await call('engine::queue::dlq_messages', { topic: 'jobs' })) as Record<string, unknown>[]
  expect(page.map(({ left_out }) => left_out !== undefined)).toEqual([false, false, false, false, true, true])
  expect(page[5]).toMatchObject({
    payload: null,
    size_bytes: text.length + 22,
    left_out: ['payload', 'history'],
  })
})

test('a letter that nests deeper than an answer may hides no other', async () => {
  const { queue, functions, system, dead } = await operatedQueue({ queues: { jobs: QUICK } })
  functions['job::run'] = fails
  const deep = `${'['.repeat(125)}${']'.repeat(125)}`
  await queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: JSON.parse(deep), id: 'deep' })
  await queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: {}, id: 'flat' })
  await dead('jobs', 2)
  expect((await listLetters(system, {})).letters).toHaveLength(2)
  expect(await showLetter(system, { id: 'queue:jobs:deep' })).toMatchObject({ content: deep })
})

test('a letter is looked up, however many lie before it, and so is one that is nobody’s', async () => {
  const { queue, functions, system, dead } = await operatedQueue({ queues: { jobs: QUICK } })
  functions['job::run'] = fails
  const ids = Array.from({ length: 1_010 }, (_, n) => `m-${n}`)
  await Promise.all(
    ids.map((id) => queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: { id }, id })),
  )
  await dead('jobs', ids.length)
  let looks = 0
  const ask = async (id: string, payload: unknown) => {
    if (id === 'engine::queue::dlq_messages') looks += 1
    return system.ask(id, payload)
  }
  const shown = await showLetter({ ...system, ask }, { id: 'queue:jobs:m-1009' })
  expect(shown).toMatchObject({ content: { id: 'm-1009' } })
  await expect(showLetter({ ...system, ask }, { id: 'queue:jobs:nobody' })).rejects.toMatchObject({
    code: 'CQRS_NOT_FOUND',
  })
  expect(looks).toBe(2)
})

test('at a provider that does not look letters up, one is looked for page by page', async () => {
  const { system } = await operatedQueue({ queues: { jobs: QUICK } })
  const all = Array.from({ length: 1_200 }, (_, n) => ({
    id: `m-${n}`,
    payload: { n },
    error: 'no',
    failed_at: 1,
    retries: 3,
  }))
  const ask = async (id: string, payload: unknown) => {
    const { offset, limit } = payload as { offset: number; limit: number }
    return id === 'engine::queue::dlq_messages' ? all.slice(offset, offset + limit) : system.ask(id, payload)
  }
  const show = (id: string) => showLetter({ ...system, ask }, { id: `queue:jobs:${id}` })
  expect(await show('m-1100')).toMatchObject({ content: { n: 1_100 } })
  await expect(show('nobody')).rejects.toMatchObject({ code: 'CQRS_NOT_FOUND' })
})

test('a redrive that takes longer than anybody waits goes on, holds the queue, and tells whoever asks again the rest', async () => {
  const { store, queue, functions, system, call, dead } = await operatedQueue({ queues: { jobs: QUICK } })
  functions['job::run'] = fails
  const ids = Array.from({ length: 2_500 }, (_, n) => `m-${n}`)
  await Promise.all(
    ids.map((id) => queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: { id }, id })),
  )
  await dead('jobs', ids.length)
  const taken: string[] = []
  functions['job::run'] = ({ id }: { id: string }) => taken.push(id)
  const { redrive } = store
  const gate = Promise.withResolvers<void>()
  let chunks = 0
  store.redrive = async (...chunk) => {
    chunks += 1
    if (chunks === 2) await gate.promise
    return redrive.apply(store, chunk)
  }
  const step = (more: object) => call('iii::queue::redrive', { queue: 'jobs', ...more })
  const asked = async (payload: object) => (await step(payload)) as { redriven: number; more?: true }
  let redriven = 0
  await until('the first chunk', async () => {
    const { redriven: moved, more } = await asked({ wait_ms: 0 })
    expect(more).toBe(true)
    redriven += moved
    return redriven > 0
  })
  expect(redriven).toBe(1_000)
  expect(taken, 'older ones are still to come').toEqual([])
  gate.resolve()
  expect(await asked({})).toEqual({ queue: 'jobs', redriven: 1_500 })
  await eventually(() => taken.length === ids.length)
  expect(await redriveLetters(system, { name: 'jobs' })).toMatchObject({ redriven: 0 })
})

test('letters of a queue are all redriven though that takes several steps', async () => {
  const { system } = await operatedQueue({ queues: { jobs: QUICK } })
  const steps = [{ redriven: 700_000, more: true }, { redriven: 299_999, more: true }, { redriven: 1 }]
  const call = async (id: string, payload: unknown) =>
    id === 'iii::queue::redrive' ? steps.shift() : system.call(id, payload)
  const ask = async (id: string, payload: unknown) =>
    id === 'engine::queue::dlq_topics'
      ? [{ topic: 'jobs', message_count: 1_000_000 }]
      : system.ask(id, payload)
  expect(await redriveLetters({ ...system, ask, call }, { name: 'jobs' })).toMatchObject({
    redriven: 1_000_000,
  })
})

test('a redrive that takes long is answered in time, and the next call joins it, though no letter is left by then', async () => {
  const { system } = await operatedQueue({ queues: { jobs: QUICK } })
  let now = 0
  const steps = [{ redriven: 700_000, more: true }, { redriven: 299_999, more: true }, { redriven: 1 }]
  let left = 1_000_000
  const call = async (id: string, payload: unknown) => {
    if (id !== 'iii::queue::redrive') return system.call(id, payload)
    now += 5_000
    left = 0
    return steps.shift()
  }
  const ask = async (id: string, payload: unknown) =>
    id === 'engine::queue::dlq_topics' ? [{ topic: 'jobs', message_count: left }] : system.ask(id, payload)
  const slow = { ...system, ask, call, monotonic: () => now }
  const first = await redriveLetters(slow, { source: 'queue', name: 'jobs' })
  expect(first).toMatchObject({ redriven: 999_999, next: expect.any(String) })
  const input = { source: 'queue', name: 'jobs', after: first.next }
  const second = await redriveLetters(slow, input)
  expect(second).toMatchObject({ redriven: 1 })
  expect(second.next ?? null).toBeNull()
})
