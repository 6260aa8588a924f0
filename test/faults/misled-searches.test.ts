import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test, vi } from 'vitest'
import { StateStore } from '../../src/engine/state/store.ts'
import { CqrsError } from '../../src/kernel/errors.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { IdempotencyKeys } from '../../src/log/sqlite/idempotency-keys.ts'
import { type StreamRow, streamChecksum } from '../../src/log/sqlite/row.ts'
import { StreamEndWriter } from '../../src/log/sqlite/stream-end-writer.ts'
import { StreamEnds } from '../../src/log/sqlite/stream-ends.ts'
import type { ViewStore } from '../../src/projection/contract.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { parseQueueSettings } from '../../src/queue/settings.ts'
import { MessageTable } from '../../src/queue/sqlite/message-table.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { isSqliteError } from '../../src/sqlite/errors.ts'
import { withMisledPointers } from '../support/damage.ts'
import { foldWal } from '../support/fold-wal.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

// A copy of the store is opened for each of its pointers, and machines that run tests are busy.
vi.setConfig({ testTimeout: 240_000 })

/*
 * SQLite does not compare the row that a search ended at with what was searched for: where the order of a page is
 * broken, `WHERE key = ?` gives whole rows of other keys. None of them may pass for what was asked for.
 */

const KEYS = Array.from({ length: 24 }, (_, index) => `key-${index}`)

/** How a copy of a store is searched. */
interface Search {
  find(key: string): unknown
  close(): unknown
}

/** Misleads each pointer of the store and searches for each key, which must give what it gives now, or nothing. */
async function misled(store: string, open: (path: string) => Search): Promise<void> {
  foldWal(store)
  const expected = new Map<string, unknown>()
  const search = open(store)
  for (const key of KEYS) expected.set(key, await search.find(key))
  await search.close()

  const copy = join(tempFolder(), 'misled.db')
  let refused = 0
  for (const bytes of withMisledPointers(store)) {
    writeFileSync(copy, bytes)
    const opened = open(copy)
    for (const key of KEYS) {
      try {
        const found = await opened.find(key)
        if (found !== undefined) expect(found).toEqual(expected.get(key))
      } catch (error) {
        if (!isRefusal(error)) throw error
        refused += 1
      }
    }
    await opened.close()
  }
  expect(refused, 'a row of another key was found').toBeGreaterThan(0)
}

function isRefusal(error: unknown): boolean {
  return error instanceof CqrsError && error.code === 'CQRS_STORE_CORRUPT'
}

/** What SQLite itself notices: an entry of an index that is not where it should be when its row is removed. */
function isDamage(error: unknown): boolean {
  return isSqliteError(error) && (error.errcode & 0xff) === 11
}

test('in the state of the engine', async () => {
  const path = join(tempFolder(), 'state.db')
  const store = new StateStore(path)
  for (const key of KEYS) store.set('scope', key, JSON.stringify(key) as never)
  store.close()
  await misled(path, (copy) => {
    const opened = new StateStore(copy)
    return { find: (key) => opened.get('scope', key), close: () => opened.close() }
  })
})

test('in a view, for queries and for the projection itself', async () => {
  const { viewPath, move, projector, view } = ledger()
  for (const [index, account] of KEYS.entries()) await move(account, index)
  await toHead(projector())
  await view.close()
  await misled(viewPath, (copy) => {
    const reader = openSqliteViewReader(copy, balances())
    return { find: (key) => reader.get(key), close: () => reader.close() }
  })
  await misled(viewPath, (copy) => {
    const opened = openSqliteView(copy, balances())
    return { find: async (key) => (await opened.load([key])).get(key), close: () => opened.close() }
  })
})

test('in the log, for the commands that used a key', async () => {
  const path = join(tempFolder(), 'events.db')
  const log = openSqliteEventLog({ path })
  for (const [version, key] of KEYS.entries()) {
    await log.append({
      stream: 'ada',
      expectedVersion: version,
      events: [{ type: 'moved', schemaVersion: 1, data: {} }],
      metadata: { commandId: 'c', correlationId: 'c' },
      idempotency: { key, fingerprint: 'f' },
    })
  }
  await log.close()
  await misled(path, (copy) => {
    const opened = openSqliteEventLog({ path: copy })
    return { find: (key) => opened.findCommand(key), close: () => opened.close() }
  })
  await misled(path, (copy) => {
    const db = new DatabaseSync(copy)
    const keys = new IdempotencyKeys(db, { keepMs: undefined, monotonic: () => 0 })
    return { find: (key) => keys.find(key), close: () => db.close() }
  })
})

/** A log with an event in the stream of each key, and all ends of streams in their table. */
async function logOfStreams(): Promise<string> {
  const path = join(tempFolder(), 'events.db')
  const log = openSqliteEventLog({ path, endsBehind: 1 })
  for (const stream of KEYS) {
    await log.append({
      stream,
      expectedVersion: 0,
      events: [{ type: 'moved', schemaVersion: 1, data: {} }],
      metadata: { commandId: 'c', correlationId: 'c' },
    })
  }
  await log.close()
  return path
}

test('in the log, for where a stream ends', async () => {
  await misled(await logOfStreams(), (copy) => {
    const db = new DatabaseSync(copy)
    const ends = new StreamEnds(db)
    ends.catchUp()
    const find = (stream: string) => (ends.of(stream).position === 0 ? undefined : ends.of(stream))
    return { find, close: () => db.close() }
  })
})

/*
 * Nor may a change that is meant for one key befall another one: an effect that is forgotten unsent, or a document that is
 * removed, is missed by nobody.
 */

/** The values of a column, read row by row and without an index of their own, where they fit what is wanted. */
function rows(path: string, table: string, column: string, where: Record<string, unknown> = {}): string[] {
  using db = new DatabaseSync(path)
  return db
    .prepare(`SELECT * FROM ${table}`)
    .all()
    .filter((row) => Object.entries(where).every(([name, value]) => row[name] === value))
    .map((row) => String(row[column]))
}

/** Misleads each pointer and does something for a key, which may befall that key alone or be refused. */
async function changed(
  store: string,
  read: (copy: string) => string[],
  change: (copy: string, key: string) => Promise<unknown>,
  keys = KEYS,
): Promise<void> {
  foldWal(store)
  const copy = join(tempFolder(), 'changed.db')
  let [done, refused] = [0, 0]
  for (const [index, bytes] of [...withMisledPointers(store)].entries()) {
    for (const suffix of ['-wal', '-shm', '-mark']) rmSync(copy + suffix, { force: true })
    writeFileSync(copy, bytes)
    const before = read(copy)
    const key = keys[index % keys.length] as string
    let after = before
    try {
      await change(copy, key).finally(() => {
        after = read(copy)
      })
      done += 1
    } catch (error) {
      if (!isRefusal(error) && !isDamage(error)) throw error
      refused += 1
    }
    const lost = before.filter((one) => one !== key && !after.includes(one))
    expect(lost, `changed for ${key}`).toEqual([])
  }
  expect(done + refused).toBeGreaterThan(0)
}

test('the end of a stream that is stored takes the place of no other one', async () => {
  const whole = (copy: string) => {
    using db = new DatabaseSync(copy)
    const found = db.prepare('SELECT * FROM streams').all() as unknown as (StreamRow & { stream: string })[]
    return found.filter((row) => row.checksum === streamChecksum(row.stream, row)).map(({ stream }) => stream)
  }
  await changed(await logOfStreams(), whole, async (copy, stream) => {
    using db = new DatabaseSync(copy)
    const ends = new StreamEndWriter(db, { behind: 1 })
    const position = KEYS.length + 1
    ends.begin()
    db.exec('BEGIN IMMEDIATE')
    ends.last()
    ends.move(stream, { version: 1, position: 1, id: undefined }, { version: 2, position, id: undefined })
    ends.store()
    db.exec('COMMIT')
    expect(whole(copy), 'it is there').toContain(stream)
  })
})

/** Each way to mislead a search costs a store to be opened. */
const FEW = KEYS.slice(0, 12)

const EFFECTS = FEW.map((_, index) => `balances:${index + 1}:1`)

/** A closed view with an effect for each key. */
async function viewOfEffects(): Promise<string> {
  const { viewPath, move, projector, view } = ledger()
  for (const account of FEW) await move(account, -1)
  await toHead(projector())
  await view.close()
  return viewPath
}

test('an effect that was sent, met an end, or was refused, takes no other one with it', async () => {
  const store = await viewOfEffects()
  const pending = (copy: string) => rows(copy, 'effects', 'idempotency_key', { status: 'pending' })
  const failure = { attempts: 1, error: 'no', at: '2026-01-01T00:00:00.000Z' }
  for (const change of [
    (view: ViewStore, key: string) => view.effectsSent([key]),
    (view: ViewStore, key: string) => view.effectStopped(key, 1),
    (view: ViewStore, key: string) => view.effectFailed(key, failure),
  ]) {
    await changed(store, pending, (copy, key) => inView(copy, (view) => change(view, key)), EFFECTS)
  }
})

async function inView(path: string, work: (view: ViewStore) => Promise<unknown>): Promise<void> {
  const view = openSqliteView(path, balances(), { indexes: false })
  await work(view).finally(() => view.close())
}

test('an entry of an index that leads to another effect neither forgets nor marks that one', async () => {
  const store = await viewOfEffects()
  foldWal(store)
  const bytes = readFileSync(store)
  // An entry is the key and the number of its row.
  const key = 'balances:2:1'
  const number = bytes.indexOf(Buffer.from([...Buffer.from(key), 2])) + key.length
  expect(number).toBeGreaterThan(key.length)
  bytes[number] = 3
  const untouched = rows(store, 'effects', 'idempotency_key', { status: 'pending', attempts: 0 })
  for (const change of [
    (view: ViewStore) => view.effectsSent([key]),
    (view: ViewStore) => view.effectStopped(key, 7),
    (view: ViewStore) => view.effectFailed(key, { attempts: 1, error: 'no', at: '' }),
  ]) {
    const copy = join(tempFolder(), 'misled.db')
    writeFileSync(copy, bytes)
    await expect(inView(copy, change)).rejects.toMatchObject({ code: 'CQRS_STORE_CORRUPT' })
    expect(rows(copy, 'effects', 'idempotency_key', { status: 'pending', attempts: 0 })).toEqual(untouched)
  }
})

test('a document that is removed takes no other one with it', async () => {
  const remove = (copy: string, key: string) =>
    inView(copy, async (view) => {
      const { revision } = await view.checkpoint()
      const nothing = { parked: [], settled: [], effects: [] }
      await view.commit({ ...nothing, expectedRevision: revision, documents: new Map([[key, null]]) })
    })
  await changed(await viewOfEffects(), (copy) => rows(copy, 'documents', 'key'), remove, FEW)
})

test('what waits in one sequence is none of another one', async () => {
  const { viewPath, move, projector, view } = ledger(balances({ fails: () => true }))
  for (const account of [...KEYS, ...KEYS]) await move(account, 1)
  await toHead(projector())
  await view.close()
  await misled(viewPath, (copy) => {
    const opened = openSqliteView(copy, balances(), { indexes: false })
    return {
      /** A part of what waits there can be hidden. */
      async find(sequence) {
        const found = await opened.sequence(sequence, 10)
        for (const event of found) expect(event.sequence).toBe(sequence)
      },
      close: () => opened.close(),
    }
  })
})

test('a dead letter of a queue that is given up or tried again is the one that is meant', async () => {
  const folder = tempFolder()
  const store = await openSqliteQueueStore({ folder, rememberedReceipts: 100 })
  await store.define('jobs', { settings: parseQueueSettings('jobs', {}), subscription: undefined })
  const job = (id: string) => ({ queue: 'jobs', id, functionId: 'job::run', group: undefined, data: '{}' })
  await store.enqueue(KEYS.map(job))
  for (const [index] of KEYS.entries()) {
    const failure = { kind: 'failed', error: 'no', at: 5 } as const
    await store.deadLetter('jobs', { seq: index + 1, attempts: 1, stops: 0, failure })
  }
  await store.close()
  const letters = (copy: string) => rows(copy, 'dead_letters', 'message_id')
  for (const isGivenUp of [true, false]) {
    await changed(join(folder, 'queue.db'), letters, async (copy, key) => {
      using db = new DatabaseSync(copy)
      const table = new MessageTable(db)
      const isDone = isGivenUp ? table.discard(1, 1_000, key) : table.redriveOne(1, 1_000, key, 0)
      expect(isDone).toBe(true)
      expect(letters(copy), 'the letter that was meant is gone').not.toContain(key)
    })
  }
})

test('an entry of an index that leads to another dead letter shows and settles none but the one that is meant', async () => {
  const folder = tempFolder()
  const path = join(folder, 'queue.db')
  const store = await openSqliteQueueStore({ folder })
  await store.define('jobs', { settings: parseQueueSettings('jobs', {}), subscription: undefined })
  const job = (id: string) => ({ queue: 'jobs', id, functionId: 'job::run', group: undefined, data: '{}' })
  await store.enqueue(['meant', 'other'].map(job))
  const failure = { kind: 'failed', error: 'no', at: 5 } as const
  for (const seq of [1, 2]) await store.deadLetter('jobs', { seq, attempts: 1, stops: 0, failure })
  await store.close()
  const bytes = readFileSync(path)
  // An entry is the id and the key of the letter, whose last byte is the seq; in the table more follows the id.
  const entry = Buffer.from([...Buffer.from('meant'), 0x20, 0, 0, 0, 0, 1])
  const indexes = ['dead_letters_by_message', 'dead_letters_by_message_again']
  const places = indexes.map((_, index) => bytes.indexOf(entry, index && bytes.indexOf(entry) + 1))
  for (const place of places) {
    const misled = Buffer.from(bytes)
    misled[place + entry.length - 1] = 2
    const copy = join(tempFolder(), 'queue.db')
    writeFileSync(copy, misled)
    using db = new DatabaseSync(copy)
    const table = new MessageTable(db)
    expect(table.findDeadLetter(1, 2, 'meant')).toMatchObject({ id: 'meant' })
    // Its entry cannot be removed, and no other one is.
    expect(() => table.discard(1, 2, 'meant')).toThrow('malformed')
    expect(rows(copy, 'dead_letters', 'message_id')).toContain('other')
  }
})

test('no key that is young is forgotten in the place of one that is old', async () => {
  const path = join(tempFolder(), 'events.db')
  await openSqliteEventLog({ path }).close()
  const db = new DatabaseSync(path)
  const insert = db.prepare(`INSERT INTO commands VALUES (?, 'f', 's', 1, 1, 1, 0, 0, ?)`)
  for (const [index, key] of KEYS.entries()) insert.run(key, index % 2 === 0 ? 0 : 10_000)
  db.close()
  const young = (copy: string) => rows(copy, 'commands', 'key', { running_ms: 10_000 })
  const command = { key: 'new', fingerprint: 'f', stream: 's', position: 1, version: 1, events: 1 }
  await changed(path, young, async (copy) => {
    using opened = new DatabaseSync(copy)
    const keys = new IdempotencyKeys(opened, { keepMs: 1_000, monotonic: () => 0 })
    keys.begin()
    for (const n of [1, 2, 3]) keys.add({ ...command, key: `new ${n}` }, 0)
    keys.prune()
  })
})
