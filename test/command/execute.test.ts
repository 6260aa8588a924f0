import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { type CommandContext, CommandExecutor } from '../../src/command/execute.ts'
import inventory from '../../src/inventory/app.ts'
import { type App, defineApp } from '../../src/kernel/app.ts'
import { defineDecider } from '../../src/kernel/decider.ts'
import { CqrsError } from '../../src/kernel/errors.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { conflict } from '../../src/kernel/rejection.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const lamp = { sku: 'lamp', name: 'Lamp', priceCents: 1_000, quantity: 10 }

function shop(options: { conflictRetries?: number; wrap?: (log: EventLog) => EventLog } = {}) {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const appended: number[] = []
  let commands = 0
  const executor = (own: EventLog = options.wrap?.(log) ?? log) => {
    const made = new CommandExecutor({
      app: inventory,
      log: own,
      streamCacheSize: 100,
      conflictRetries: options.conflictRetries ?? 10,
      onAppended: (position) => appended.push(position),
      now: () => new Date('2024-01-01T00:00:00Z'),
    })
    return (name: string, input: unknown, context: Partial<CommandContext> = {}) => {
      commands += 1
      return made.execute(name, input, { commandId: `c-${commands}`, ...context })
    }
  }
  return { log, appended, executor, run: executor() }
}

test('an accepted command is in the log, with where it came from, and is announced', async () => {
  const { log, appended, run } = shop()
  const context = { commandId: 'c', correlationId: 'k', actor: 'ada', traceparent: '00-1-2-01' }
  expect(await run('add-inventory-item', lamp, context)).toEqual({
    kind: 'accepted',
    position: 1,
    version: 1,
    events: 1,
    replayed: false,
  })
  const { events } = await log.readFrom(0, { limit: 10 })
  expect(events).toMatchObject([
    { stream: 'inventory-item-lamp', type: 'inventory-item-added', schemaVersion: 1, metadata: context },
  ])
  expect(appended).toEqual([1])
})

test('an input that does not fit names every field and leaves nothing', async () => {
  const { log, run } = shop()
  expect(await run('add-inventory-item', { sku: '', priceCents: 1.5, colour: 'red' })).toEqual({
    kind: 'invalid',
    issues: expect.arrayContaining([
      expect.objectContaining({ field: 'sku' }),
      expect.objectContaining({ field: 'name' }),
      expect.objectContaining({ field: 'priceCents' }),
      { field: 'colour', problem: 'is not known; leave it out' },
    ]),
  })
  expect(await run('add-inventory-item', 'lamp')).toMatchObject({
    kind: 'invalid',
    issues: [{ field: '(input)' }],
  })
  expect(await log.head()).toBe(0)
})

test('a rejected command leaves nothing and is not announced', async () => {
  const { log, appended, run } = shop()
  expect(await run('sell-item', { sku: 'none', quantity: 1 })).toMatchObject({
    kind: 'rejected',
    rejection: { reason: 'not-found', code: 'unknown_item' },
  })
  expect([await log.head(), appended]).toEqual([0, []])
})

test('a command that changes nothing is accepted without an event', async () => {
  const { log, run } = shop()
  await run('add-inventory-item', lamp)
  expect(await run('adjust-price', { sku: 'lamp', priceCents: 1_000 })).toEqual({
    kind: 'accepted',
    position: 1,
    version: 1,
    events: 0,
    replayed: false,
  })
  expect(await log.head()).toBe(1)
})

test('many sales of one moment sell exactly what is in stock', async () => {
  const { log, run } = shop({ conflictRetries: 0 })
  await run('add-inventory-item', lamp)
  const outcomes = await Promise.all(
    Array.from({ length: 25 }, () => run('sell-item', { sku: 'lamp', quantity: 1 })),
  )
  expect(outcomes.filter(({ kind }) => kind === 'accepted')).toHaveLength(10)
  expect(outcomes.filter(({ kind }) => kind === 'rejected')).toHaveLength(15)
  expect(await log.head()).toBe(11)
})

test('two processes on one stream never oversell, and each finds what the other did', async () => {
  const { log, executor } = shop({ conflictRetries: 200 })
  const [one, two] = [executor(), executor()]
  await one('add-inventory-item', lamp)
  const outcomes = await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      (index % 2 ? one : two)('sell-item', { sku: 'lamp', quantity: 1 }),
    ),
  )
  expect(outcomes.filter(({ kind }) => kind === 'accepted')).toHaveLength(10)
  expect(outcomes.filter(({ kind }) => kind === 'rejected')).toHaveLength(20)
  expect(await log.head()).toBe(11)
  await two('restock-item', { sku: 'lamp', quantity: 1 })
  expect(await one('sell-item', { sku: 'lamp', quantity: 1 })).toMatchObject({ kind: 'accepted' })
})

test('a decision that rests on another one is refused with it, though the version fits', async () => {
  const { log, executor } = shop()
  const overtaken = Promise.withResolvers<void>()
  let held = 0
  const slow: EventLog = Object.create(log, {
    append: {
      value: async (request: Parameters<EventLog['append']>[0]) => {
        held += 1
        await overtaken.promise
        return log.append(request)
      },
    },
    ...Object.fromEntries(
      (['findCommand', 'readStream', 'history', 'readFrom', 'head'] as const).map((name) => [
        name,
        { value: (log[name] as (...given: unknown[]) => unknown).bind(log) },
      ]),
    ),
  })
  const [one, two] = [executor(slow), executor()]
  await two('add-inventory-item', lamp)
  // The second rests on the first: 4 of 10 are left then, and nobody else is known.
  const sales = [6, 4].map((quantity) => one('sell-item', { sku: 'lamp', quantity }))
  await until('both are under way', () => held === 2)
  // One event more, as the first would have made: the second expects the version that there is.
  expect(await two('sell-item', { sku: 'lamp', quantity: 9 })).toMatchObject({ version: 2 })
  overtaken.resolve()
  expect(await Promise.all(sales)).toMatchObject([{ kind: 'rejected' }, { kind: 'rejected' }])
  expect(await log.head()).toBe(2)
})

test('a stream that never stands still ends as a conflict with nothing stored', async () => {
  const { executor, log } = shop({ conflictRetries: 3 })
  const restless: EventLog = {
    append: async () => ({ kind: 'version-conflict', actualVersion: 99 }),
    findCommand: (key) => log.findCommand(key),
    readStream: (stream, options) => log.readStream(stream, options),
    history: (stream, options) => log.history(stream, options),
    readFrom: (after, options) => log.readFrom(after, options),
    head: () => log.head(),
    close: async () => undefined,
  }
  expect(await executor(restless)('add-inventory-item', lamp)).toEqual({ kind: 'conflict', attempts: 4 })
})

test('the same idempotency key gives the same answer and appends once, also after a restart', async () => {
  const { log, executor, run } = shop()
  const key = { idempotencyKey: 'order-7' }
  await run('add-inventory-item', lamp)
  const first = await run('sell-item', { sku: 'lamp', quantity: 2 }, key)
  expect(first).toMatchObject({ kind: 'accepted', position: 2, events: 1, replayed: false })
  const again = await run('sell-item', { quantity: 2, sku: 'lamp' }, key)
  const restarted = await executor()('sell-item', { sku: 'lamp', quantity: 2 }, key)
  for (const answer of [again, restarted]) expect(answer).toEqual({ ...first, replayed: true })
  expect(await log.head()).toBe(2)
})

test('concurrent commands with one key append once and all get the same answer', async () => {
  const { log, run } = shop()
  await run('add-inventory-item', { ...lamp, quantity: 1 })
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, () => run('sell-item', { sku: 'lamp', quantity: 1 }, { idempotencyKey: 'k' })),
  )
  expect(outcomes.every((outcome) => outcome.kind === 'accepted' && outcome.position === 2)).toBe(true)
  expect(await log.head()).toBe(2)
})

test('a key that was used for something else is refused', async () => {
  const { run, log } = shop()
  const key = { idempotencyKey: 'k' }
  await run('add-inventory-item', lamp, key)
  expect(await run('add-inventory-item', { ...lamp, sku: 'other' }, key)).toEqual({ kind: 'key-reused' })
  expect(await run('discontinue-item', { sku: 'lamp' }, key)).toEqual({ kind: 'key-reused' })
  expect(await log.head()).toBe(1)
})

test('a key remembers that its command changed nothing', async () => {
  const { run } = shop()
  await run('add-inventory-item', lamp)
  const key = { idempotencyKey: 'k' }
  const first = await run('adjust-price', { sku: 'lamp', priceCents: 1_000 }, key)
  await run('adjust-price', { sku: 'lamp', priceCents: 2_000 })
  expect(await run('adjust-price', { sku: 'lamp', priceCents: 1_000 }, key)).toEqual({
    ...first,
    replayed: true,
  })
})

test('a key whose command was rejected can be used again', async () => {
  const { run } = shop()
  await run('add-inventory-item', { ...lamp, quantity: 0 })
  const key = { idempotencyKey: 'k' }
  expect(await run('sell-item', { sku: 'lamp', quantity: 1 }, key)).toMatchObject({ kind: 'rejected' })
  await run('restock-item', { sku: 'lamp', quantity: 1 })
  expect(await run('sell-item', { sku: 'lamp', quantity: 1 }, key)).toMatchObject({ kind: 'accepted' })
})

test('a rejection that rests on an append which then failed is decided anew', async () => {
  let failing = false
  const { run, log } = shop({
    wrap: (real) => ({
      append: (request) =>
        failing ? Promise.reject(new CqrsError('CQRS_STORE_FULL', 'no space')) : real.append(request),
      findCommand: (key) => real.findCommand(key),
      readStream: (stream, options) => real.readStream(stream, options),
      history: (stream, options) => real.history(stream, options),
      readFrom: (after, options) => real.readFrom(after, options),
      head: () => real.head(),
      close: () => real.close(),
    }),
  })
  await run('add-inventory-item', { ...lamp, quantity: 1 })
  failing = true
  const lost = run('sell-item', { sku: 'lamp', quantity: 1 })
  const next = run('sell-item', { sku: 'lamp', quantity: 1 })
  const outcomes = await Promise.allSettled([lost, next])
  expect(outcomes).toMatchObject([
    { reason: { code: 'CQRS_STORE_FULL' } },
    { reason: { code: 'CQRS_STORE_FULL' } },
  ])
  failing = false
  expect(await run('sell-item', { sku: 'lamp', quantity: 1 })).toMatchObject({ kind: 'accepted' })
  expect(await log.head()).toBe(2)
})

test('an unknown command names those that exist', async () => {
  const { run } = shop()
  await expect(run('buy-item', {})).rejects.toMatchObject({
    code: 'CQRS_UNKNOWN_COMMAND',
    message: expect.stringContaining('sell-item'),
  })
})

test('a stream whose name the log would give back as another one is refused', async () => {
  const Written = defineEvent({ type: 'written', schema: z.object({}) })
  const pages = defineDecider({ name: 'page', events: [Written], initialState: () => 0 })
    .evolve({ written: (times) => times + 1 })
    .commands({
      write: {
        schema: z.strictObject({ page: z.string() }),
        stream: ({ page }) => `page-${page}`,
        decide: () => [{ type: 'written', data: {} }],
      },
    })
  const { log } = shop()
  const executor = new CommandExecutor({
    app: defineApp({ name: 'book', deciders: [pages] }),
    log,
    streamCacheSize: 10,
    conflictRetries: 0,
    onAppended: () => undefined,
    now: () => new Date(0),
  })
  const write = (page: string) => executor.execute('write', { page }, { commandId: 'c' })
  for (const page of ['\ud800', '\ud801', 'a\udc00b']) {
    expect(await write(page)).toMatchObject({ kind: 'invalid', issues: [{ field: '(input)' }] })
  }
  expect(await log.head()).toBe(0)
  expect(await write('\u{1f600}')).toMatchObject({ kind: 'accepted', version: 1 })
})

/** A counter whose event has the schema that a test gives. */
function counter(schema: z.ZodType<{ word: unknown }>, made: unknown) {
  const Counted = defineEvent({ type: 'counted', schema })
  const decider = defineDecider({ name: 'counter', events: [Counted], initialState: () => [] as unknown[] })
    .evolve({
      counted: (words, { data }) => {
        if (data.word === 'unbearable') throw new Error('evolve fails')
        return [...words, data.word]
      },
    })
    .commands({
      count: {
        schema: z.strictObject({}),
        stream: () => 'counter',
        decide: (_, words) =>
          words.includes('loud')
            ? conflict('heard', 'It was heard before.')
            : [{ type: 'counted', data: { word: made } }],
      },
    })
  return defineApp({ name: 'counter', deciders: [decider] })
}

function executorOf(app: App, log: EventLog) {
  const executor = new CommandExecutor({
    app,
    log,
    streamCacheSize: 10,
    conflictRetries: 0,
    onAppended: () => undefined,
    now: () => new Date(0),
  })
  return () => executor.execute('count', {}, { commandId: 'c' })
}

test.each([
  ['that tidies up', z.string().trim().toLowerCase(), ' LOUD '],
  ['that changes its own output once more', z.string().transform((word) => word.slice(1)), '..loud'],
])('a decision is the same warm and cold, under a schema %s', async (_, word, made) => {
  const { log } = shop()
  const app = counter(z.object({ word }), made)
  const warm = executorOf(app, log)
  expect(await warm()).toMatchObject({ kind: 'accepted' })
  expect(await warm()).toMatchObject({ kind: 'rejected' })
  expect(await executorOf(app, log)()).toMatchObject({ kind: 'rejected' })
})

test.each([
  [
    'does not fit its schema after it was written as JSON and read back',
    z.object({ word: z.date() }),
    new Date(0),
  ],
  ['does not fit its schema', z.object({ word: z.number() }), 'seven'],
])('an event that %s is refused before it is stored', async (problem, schema, made) => {
  const { log } = shop()
  await expect(executorOf(counter(schema, made), log)()).rejects.toMatchObject({
    code: 'CQRS_APP_INVALID',
    message: expect.stringContaining(problem),
  })
  expect(await log.head()).toBe(0)
})

test('an event that the decider itself cannot fold is not stored', async () => {
  const { log } = shop()
  const run = executorOf(counter(z.object({ word: z.string() }), 'unbearable'), log)
  await expect(run()).rejects.toThrow('evolve fails')
  expect(await log.head()).toBe(0)
})

test('a decider that returns nothing is told what to return, and nothing is stored', async () => {
  const { log } = shop()
  const app = counter(z.object({ word: z.string() }), 'word')
  const command = app.commands.get('count')
  if (!command) throw new Error('the app has no command')
  const forgetful = {
    ...app,
    commands: new Map([
      ['count', { ...command, definition: { ...command.definition, decide: () => undefined as never } }],
    ]),
  }
  await expect(executorOf(forgetful, log)()).rejects.toMatchObject({
    code: 'CQRS_APP_INVALID',
    message: expect.stringContaining('return an array of events'),
  })
  expect(await log.head()).toBe(0)
})
