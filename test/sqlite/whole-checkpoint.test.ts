import { openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type DatabaseSync, StatementSync } from 'node:sqlite'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { StateStore } from '../../src/engine/state/store.ts'
import { openSqliteActionStore } from '../../src/operator/sqlite/action-store.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { inTransaction } from '../../src/sqlite/transaction.ts'
import { withWholeCheckpoints } from '../../src/sqlite/whole-checkpoint.ts'
import { counterSchema } from '../support/counter-schema.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** A store whose checkpoints are due after so many pages, and that each write brings one or two. */
function counter(checkpointPages: number) {
  const path = join(tempFolder(), 'numbers.db')
  const open = () => {
    const db = openDatabase({ path, schema: counterSchema, checkpointPages })
    onTestFinished(() => db.close())
    return db
  }
  const db = open()
  const write = withWholeCheckpoints(db, path)
  const insert = db.prepare('INSERT INTO numbers VALUES (?, ?)')
  return {
    path,
    open,
    add: (rows = 1, stored = () => {}) =>
      write(() => {
        inTransaction(db, () => repeat(rows, () => insert.run(1, 1)))
        stored()
      }),
    state: () => stateOf(db),
    count: () => Number(db.prepare('SELECT count(*) AS rows FROM numbers').get()?.rows),
  }
}

function repeat(times: number, act: () => void): void {
  for (let time = 0; time < times; time += 1) act()
}

function stateOf(db: DatabaseSync): { log: number; checkpointed: number } {
  const { log, checkpointed } = db.prepare('PRAGMA wal_checkpoint(NOOP)').get() ?? {}
  return { log: Number(log), checkpointed: Number(checkpointed) }
}

function takesCheckpoint(statement: unknown): boolean {
  return (statement as StatementSync).sourceSQL.includes('PASSIVE')
}

/** The next checkpoint meets an error of the disk. @returns whether it did */
function failNextCheckpoint(): () => boolean {
  let failed = false
  const get = StatementSync.prototype.get
  const spy = vi.spyOn(StatementSync.prototype, 'get').mockImplementation(function (
    this: StatementSync,
    ...given
  ) {
    if (!takesCheckpoint(this)) return get.apply(this, given)
    spy.mockRestore()
    failed = true
    throw Object.assign(new Error('disk I/O error'), { errcode: 1034 })
  })
  onTestFinished(() => spy.mockRestore())
  return () => failed
}

test('a checkpoint copies again what an earlier one has copied and the disk may have lost', () => {
  const store = counter(40)
  const reader = store.open()
  for (let pages = 0; pages < 3; pages += 1) store.add(600)
  reader.exec('BEGIN; SELECT * FROM numbers')
  while (store.state().checkpointed === 0) store.add()
  expect(store.state().checkpointed).toBeLessThan(store.state().log)
  // A page that nothing is added to any more, as if it had never reached the disk.
  const at = 2 * 4_096
  const page = readFileSync(store.path).subarray(at, at + 4_096)
  writeSync(openSync(store.path, 'r+'), Buffer.alloc(4_096), 0, 4_096, at)
  reader.exec('COMMIT')
  while (store.state().checkpointed < store.state().log) store.add()
  expect(
    readFileSync(store.path)
      .subarray(at, at + 4_096)
      .equals(page),
  ).toBe(true)
  expect(page.some((byte) => byte > 0)).toBe(true)
})

test('while an older state is read, the log is not copied anew at each write', () => {
  const store = counter(8)
  const reader = store.open()
  reader.exec('BEGIN; SELECT * FROM numbers')
  const checkpoints = vi.spyOn(StatementSync.prototype, 'get')
  onTestFinished(() => checkpoints.mockRestore())
  while (store.state().log < 40) store.add()
  const taken = checkpoints.mock.contexts.filter(takesCheckpoint)
  expect(taken.length).toBeLessThanOrEqual(5)
  reader.exec('COMMIT')
  const before = store.state().log
  for (let more = 0; more < 20; more += 1) store.add()
  expect(store.state().log).toBeLessThan(before)
})

test('a write is kept whose checkpoint fails, and the next one is refused unless everything can be copied then', () => {
  const store = counter(8)
  while (store.state().log < 7) store.add()
  const before = store.count()
  failNextCheckpoint()
  store.add()
  failNextCheckpoint()
  expect(() => store.add()).toThrow('disk I/O error')
  expect(store.count()).toBe(before + 1)
  expect(store.state().checkpointed).toBe(0)
  store.add()
  expect(store.count()).toBe(before + 2)
  expect(store.state().log).toBeLessThan(8)
})

test('a checkpoint that cannot have the lock is left to a later write', () => {
  const store = counter(1)
  const other = store.open()
  store.add(1, () => other.exec('BEGIN IMMEDIATE'))
  expect(store.state().checkpointed).toBe(0)
  other.exec('ROLLBACK')
  store.add()
  expect(store.state().checkpointed).toBeGreaterThan(0)
})

const stores: Record<string, (path: string) => { write(): unknown; close(): unknown }> = {
  'the record of operators': (path) => {
    const store = openSqliteActionStore(path)
    const action = { operation: 'ops::x', input: 'x'.repeat(100_000), by: 'a test', from: 'here' }
    return { write: () => store.begin({ ...action, begunAt: '' }), close: () => store.close() }
  },
  'the control store': (path) => {
    const store = openSqliteControl({ path })
    const place = { generation: 1, version: 1, partitions: 100 }
    let last = 0
    return {
      write: () => store.adopt({ projection: `projection ${++last}`, ...place }),
      close: () => store.close(),
    }
  },
  "the engine's state": (path) => {
    const store = new StateStore(path)
    const value = JSON.stringify('x'.repeat(400_000))
    let last = 0
    return {
      write: async () => store.transaction(() => store.set('scope', `key ${++last}`, value)),
      close: () => store.close(),
    }
  },
}

test.each(Object.entries(stores))('%s takes its checkpoints so', async (_, open) => {
  const store = open(join(tempFolder(), 'store.db'))
  onTestFinished(() => void store.close())
  const failed = failNextCheckpoint()
  for (let writes = 0; !failed() && writes < 500; writes += 1) await store.write()
  expect(failed()).toBe(true)
  failNextCheckpoint()
  await expect(store.write()).rejects.toThrow('disk I/O error')
  await store.write()
})
