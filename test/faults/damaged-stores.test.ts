import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { StateStore } from '../../src/engine/state/store.ts'
import { CqrsError } from '../../src/kernel/errors.ts'
import type { RecordedEvent } from '../../src/kernel/event.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { openSqliteActionStore } from '../../src/operator/sqlite/action-store.ts'
import type { ViewStore } from '../../src/projection/contract.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { takeOver } from '../../src/projection/take-over.ts'
import { DurableQueue } from '../../src/queue/queue.ts'
import { parseQueueSettings } from '../../src/queue/settings.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { isSqliteError } from '../../src/sqlite/errors.ts'
import { readHighWater } from '../../src/sqlite/high-water.ts'
import { copyStore, damage } from '../support/damage.ts'
import { foldWal } from '../support/fold-wal.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'
import { seededRandom, testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

/*
 * Whatever happens to the bytes of a store: what it gives is what was stored, or an error with a code. What a key
 * leads to can be hidden if the key itself is hit; nothing else may be missing without a word.
 */

const seed = testSeed()

/**
 * Damages copies of a store and lets `look` at each, first with all of it in the write-ahead log, then with that
 * folded into the file. Prints what the rounds ended in.
 */
async function damaged(
  store: string,
  rounds: number,
  look: (copy: string) => Promise<string>,
): Promise<void> {
  const random = seededRandom(seed)
  const ends: Record<string, number> = {}
  for (let round = 0; round < rounds; round += 1) {
    if (round === Math.floor(rounds / 3)) foldWal(store)
    const copy = join(tempFolder(), basename(store))
    copyStore(store, copy)
    const how = damage(random, copy)
    const end = await look(copy).catch((error: unknown) => {
      if (error instanceof CqrsError) return error.code
      throw new Error(`seed ${seed}, round ${round}: ${how}`, { cause: error })
    })
    ends[end] = (ends[end] ?? 0) + 1
  }
  process.stdout.write(`${basename(store)}, seed ${seed}: ${JSON.stringify(ends)}\n`)
  expect(ends.CQRS_STORE_CORRUPT).toBeGreaterThan(0)
}

/** What `read` gives, or undefined where the store says that it is damaged. */
async function orRefused<Result>(read: () => Result | Promise<Result>): Promise<Result | undefined> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof CqrsError && error.code === 'CQRS_STORE_CORRUPT') return undefined
    throw error
  }
}

/** With the ends of streams read from the events, and with those that are stored. */
const ENDS = [
  ['read', 1_000],
  ['stored', 10],
] as const

test.for(ENDS)(
  `no damage of the log whose ends are %s lets out an event with changed bytes, or hides one without a word (CQRS_TEST_SEED=${seed})`,
  { timeout: 120_000 },
  async ([, endsBehind]) => {
    const { log, logPath, move } = ledger(balances(), { endsBehind })
    const streams = Array.from({ length: 8 }, (_, index) => `account-${index}`)
    for (let index = 0; index < 120; index += 1) await move(String(streams[index % 8]), index)
    const { events } = await log.readFrom(0, { limit: 1_000 })
    const of = (stream: string) => events.filter((event) => event.stream === stream)

    await damaged(logPath, 120, async (copy) => {
      const opened = openSqliteEventLog({ path: copy })
      try {
        let refused = 0
        for (const stream of streams) {
          const found = await orRefused(async () => (await Array.fromAsync(opened.readStream(stream))).flat())
          if (!found) refused += 1
          // A stream whose name was hit is not found; see docs/guarantees.md.
          else if (found.length > 0) expect(found).toEqual(of(stream).slice(0, found.length))
        }
        const head = await opened.head()
        if (head < events.length) {
          expect(readHighWater(copy), 'the mark tells that the log was longer').toBe(events.length)
          return 'CQRS_LOG_TOO_SHORT'
        }
        const read: RecordedEvent[] = []
        for (let at = 0; at < head; at += 10) read.push(...(await opened.readFrom(at, { limit: 10 })).events)
        expect(read).toEqual(events)
        return refused > 0 ? 'CQRS_STORE_CORRUPT' : 'harmless'
      } finally {
        await opened.close()
      }
    })
  },
)

test('no bit of what says where the columns of an event lie, and what they are, lets out something else', async () => {
  const { log, logPath, move } = ledger()
  await move('ada', 1)
  const [event] = (await log.readFrom(0, { limit: 1 })).events
  await log.close()
  const bytes = readFileSync(logPath)
  const id = bytes.indexOf(String(event?.id))
  expect(id, 'the id is the first column that is stored in the row').toBeGreaterThan(0)
  let refused = 0
  // The header of the row and the page's own bytes before it.
  for (let bit = 8 * (id - 24); bit < 8 * id; bit += 1) {
    const copy = join(tempFolder(), 'events.db')
    const damaged = Buffer.from(bytes)
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    writeFileSync(copy, damaged)
    const opened = openSqliteEventLog({ path: copy })
    const read = await orRefused(() => opened.readFrom(0, { limit: 1 }))
    await opened.close()
    if (read && read.events.length > 0) expect(read.events, `bit ${bit}`).toEqual([event])
    else refused += 1
  }
  expect(refused).toBeGreaterThan(0)
})

test('a link of a stream that leads round in a circle ends in an error', async () => {
  const { log, logPath, move } = ledger()
  for (let amount = 1; amount <= 5; amount += 1) await move('ada', amount)
  const vandal = new DatabaseSync(logPath)
  vandal.exec('UPDATE events SET previous = 5 WHERE position = 2')
  vandal.close()
  await expect(Array.fromAsync(log.readStream('ada'))).rejects.toMatchObject({ code: 'CQRS_STORE_CORRUPT' })
  await expect(log.history('ada', { limit: 10 })).rejects.toMatchObject({ code: 'CQRS_STORE_CORRUPT' })
})

test(`no damage of a view lets out a document with changed bytes (CQRS_TEST_SEED=${seed})`, async () => {
  const { viewPath, move, projector, document } = ledger()
  const accounts = Array.from({ length: 120 }, (_, index) => `account-${index}`)
  for (const [index, account] of accounts.entries()) await move(account, index)
  await toHead(projector())
  const documents = new Map<string, unknown>()
  for (const account of accounts) documents.set(account, await document(account))

  await damaged(viewPath, 200, async (copy) => {
    const view = openSqliteViewReader(copy, balances())
    try {
      const pages = [
        await view.find({ limit: 200 }),
        await view.find({ by: 'balance', from: 10, to: 90, limit: 200 }),
      ]
      for (const { items } of pages) {
        for (const item of items) expect(item).toEqual(documents.get((item as { account: string }).account))
      }
      for (const account of accounts) {
        const found = await view.get(account)
        if (found !== undefined) expect(found).toEqual(documents.get(account))
      }
      return 'harmless'
    } finally {
      await view.close()
    }
  })
}, 120_000)

test(`no damage of a reactor's view sends an effect with changed bytes (CQRS_TEST_SEED=${seed})`, async () => {
  const { viewPath, move, projector, view } = ledger()
  for (let index = 0; index < 120; index += 1) await move(`account-${index}`, -index - 1)
  await toHead(projector())
  const recorded = new Map((await view.pendingEffects(200)).map((one) => [one.idempotencyKey, one]))
  await view.close()

  await damaged(viewPath, 60, async (copy) => {
    const opened = openSqliteView(copy, balances(), { indexes: false })
    try {
      const found = await opened.pendingEffects(200)
      for (const { damaged, idempotencyKey, effect } of found) {
        if (!damaged) expect(effect).toEqual(recorded.get(idempotencyKey)?.effect)
      }
      return found.some((one) => one.damaged) ? 'CQRS_STORE_CORRUPT' : 'harmless'
    } finally {
      await opened.close()
    }
  })
}, 120_000)

/** A view that has taken over what another one leaves. */
async function successorOf(view: ViewStore, log: EventLog): Promise<ViewStore> {
  const next = openSqliteView(join(tempFolder(), 'next.db'), balances())
  onTestFinished(() => next.close())
  const request = { projection: 'balances', parts: [view], aligned: true, partition: { index: 0, count: 1 } }
  await takeOver(next, { ...request, log, swap: 1, now: 0 })
  return next
}

test('an effect of which nobody knows how it stands is taken over and sent', async () => {
  const { log, viewPath, move, projector, view } = ledger()
  await move('ada', -1)
  await toHead(projector())
  const [recorded] = await view.pendingEffects(10)
  const vandal = new DatabaseSync(viewPath)
  vandal.exec("PRAGMA ignore_check_constraints = ON; UPDATE effects SET status = 'pen$ing'")
  vandal.close()

  const next = await successorOf(view, log)
  expect(await next.pendingEffects(10)).toEqual([recorded])

  // Without a swap an operator finds it among what failed.
  expect(await view.deadEffects(10)).toHaveLength(1)
  expect(await view.redriveEffects()).toMatchObject({ redriven: 1 })
  expect(await view.pendingEffects(10)).toEqual([recorded])
})

test('an effect whose key tells no position any more holds up no other one at a swap', async () => {
  const { viewPath, move, projector, view, log } = ledger()
  for (const account of ['ada', 'bob', 'cyd']) await move(account, -1)
  await toHead(projector())
  const [first, , third] = await view.pendingEffects(10)
  const vandal = new DatabaseSync(viewPath)
  vandal.exec("UPDATE effects SET idempotency_key = 'balances:x:1' WHERE idempotency_key = 'balances:2:1'")
  vandal.close()

  const next = await successorOf(view, log)
  expect(await next.pendingEffects(10)).toEqual([first, expect.objectContaining({ damaged: true }), third])
})

test(`no damage of the queue delivers a message with changed bytes (CQRS_TEST_SEED=${seed})`, async () => {
  const folder = tempFolder()
  const store = await openSqliteQueueStore({ folder, rememberedReceipts: 100 })
  const queue = await DurableQueue.open({ store, log: pino({ level: 'silent' }) })
  const sent = new Map<string, unknown>()
  for (let index = 0; index < 120; index += 1) {
    const [id, data] = [`message-${index}`, { index, text: 'some text that can be hit '.repeat(index % 7) }]
    sent.set(id, data)
    await queue.enqueue({ queue: 'default', functionId: 'job::run', data, id })
  }
  const path = join(folder, 'queue.db')
  await damaged(path, 60, async (copy) => {
    const opened = await openSqliteQueueStore({ folder: join(copy, '..'), rememberedReceipts: 100 })
    try {
      const { messages, end } = await opened.read('default', 0, 200, Number.MAX_SAFE_INTEGER)
      for (const message of messages) {
        expect(message).toMatchObject({ functionId: 'job::run', group: undefined })
        expect(JSON.parse(message.data)).toEqual(sent.get(message.id))
      }
      const dead = await opened.deadLetters('default', 0, 200)
      if (dead.length === 0)
        return messages.length === sent.size ? 'harmless' : `${sent.size - messages.length} gone, to ${end}`
      for (const letter of dead) expect(letter.error).toContain('changed on the disk')
      return 'dead letters'
    } finally {
      await opened.close()
    }
  })
  await queue.stop()
}, 120_000)

test('a history of failures whose bytes changed keeps no message from its end, and no letter from being shown', async () => {
  const folder = tempFolder()
  const store = await openSqliteQueueStore({ folder, rememberedReceipts: 100 })
  onTestFinished(() => store.close())
  await store.define('jobs', { settings: parseQueueSettings('jobs', {}), subscription: undefined })
  const job = (id: string) => ({ queue: 'jobs', id, functionId: 'job::run', group: undefined, data: '{}' })
  await store.enqueue([job('fails again'), job('dead'), job('fine')])
  const failed = (seq: number, error: string, at: number, attempts = 1) =>
    ({ seq, attempts, stops: 0, failure: { kind: 'failed', error, at } }) as const
  await store.recordFailure('jobs', failed(1, 'first', 5), 10)
  await store.deadLetter('jobs', failed(2, 'first', 6))
  for (const [index, garbage] of ['{]', 'null', '[{"error":"no time"}]'].entries()) {
    const db = new DatabaseSync(join(folder, 'queue.db'))
    for (const table of ['failures', 'dead_letters'])
      db.prepare(`UPDATE ${table} SET history = ?`).run(garbage)
    db.close()
    await store.recordFailure('jobs', failed(1, `after ${garbage}`, 7, index + 2), 10)
    expect(await store.deadLetters('jobs', 0, 10)).toMatchObject([
      { id: 'dead', failedAt: 6, error: expect.stringContaining('changed on the disk') },
    ])
  }
  await store.deadLetter('jobs', failed(1, 'last', 8))
  const [letter] = await store.deadLetters('jobs', 0, 1)
  expect(letter?.history.map(({ error }) => error)).toEqual([
    expect.stringContaining('changed on the disk'),
    'after [{"error":"no time"}]',
    'last',
  ])
})

test(`no damage of the engine's state lets out a value with changed bytes (CQRS_TEST_SEED=${seed})`, async () => {
  const path = join(tempFolder(), 'state.db')
  const store = new StateStore(path)
  const keys = Array.from({ length: 120 }, (_, index) => `key-${index}`)
  for (const key of keys)
    store.set('scope', key, JSON.stringify({ key, text: 'a value '.repeat(5) }) as never)
  const values = new Map(keys.map((key) => [key, store.get('scope', key)]))

  await damaged(path, 200, async (copy) => {
    const opened = new StateStore(copy)
    try {
      for (const value of opened.list('scope')) expect([...values.values()]).toContain(value)
      for (const key of keys) {
        const value = opened.get('scope', key)
        if (value !== undefined) expect(value).toBe(values.get(key))
      }
      return 'harmless'
    } catch (error) {
      // The engine tells callers "STATE_ERROR" and logs what SQLite said.
      if (isSqliteError(error)) return 'CQRS_STORE_CORRUPT'
      throw error
    } finally {
      opened.close()
    }
  })
  store.close()
}, 120_000)

test('a record of an operator whose bytes changed keeps no other one from being shown', async () => {
  const path = join(tempFolder(), 'operator.db')
  const store = openSqliteActionStore(path)
  onTestFinished(() => store.close())
  const action = { operation: 'ops::rebuild', by: 'ada', from: 'cli', begunAt: '2026-01-01T00:00:00.000Z' }
  for (const projection of ['one', 'two']) await store.begin({ ...action, input: { projection } })
  const db = new DatabaseSync(path)
  db.exec(`UPDATE actions SET input = '{]', result = 'nul' WHERE id = 1`)
  db.close()
  const unreadable = expect.stringContaining('changed on the disk')
  expect(await store.list({ before: 10, limit: 10 })).toMatchObject([
    { id: 2, input: { projection: 'two' }, result: null },
    { id: 1, operation: 'ops::rebuild', by: 'ada', input: unreadable, result: unreadable },
  ])
})

test('a comparison whose bytes changed is made again, and keeps nothing else of the view from being read', async () => {
  const path = join(tempFolder(), 'control.db')
  const store = openSqliteControl({ path })
  onTestFinished(() => store.close())
  await store.adopt({ projection: 'list', generation: 1, version: 1, partitions: 1 })
  await store.request({ projection: 'list', version: 1, partitions: 1, purpose: 'serve', by: 'ada' })
  const db = new DatabaseSync(path)
  db.exec(`UPDATE generations SET report = '{"kind":"compared"[' WHERE generation = 2`)
  db.close()
  expect(await store.projection('list')).toMatchObject({
    generations: [
      { generation: 1, state: 'active' },
      { generation: 2, state: 'building', report: undefined },
    ],
  })
})
