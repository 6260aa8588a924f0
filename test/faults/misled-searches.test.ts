import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { StateStore } from '../../src/engine/state/store.ts'
import { CqrsError } from '../../src/kernel/errors.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { IdempotencyKeys } from '../../src/log/sqlite/idempotency-keys.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { withMisledPointers } from '../support/damage.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

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
  const whole = new DatabaseSync(store)
  whole.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  whole.close()
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
