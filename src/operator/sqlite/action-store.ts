import { parseJson } from '../../kernel/json.ts'
import { toStoreError } from '../../sqlite/errors.ts'
import type { StoreSchema } from '../../sqlite/migrate.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { withWholeCheckpoints } from '../../sqlite/whole-checkpoint.ts'
import type { Action, ActionStore } from '../action-store.ts'

export const actionSchema: StoreSchema = {
  name: 'record of operators',
  applicationId: 0x63717234,
  migrations: [
    `CREATE TABLE actions (
       id INTEGER PRIMARY KEY,
       operation TEXT NOT NULL,
       input TEXT NOT NULL,
       by TEXT NOT NULL,
       place TEXT NOT NULL,
       begun_at TEXT NOT NULL,
       ended_at TEXT,
       outcome TEXT NOT NULL,
       result TEXT NOT NULL
     ) STRICT;`,
    `CREATE INDEX actions_by_operation ON actions (operation, id);`,
  ],
}

export const LIST = 'SELECT * FROM actions WHERE id < ? ORDER BY id DESC LIMIT ?'

/** Uses the index: an operation may have few actions among very many. */
export const LIST_OF_OPERATION =
  'SELECT * FROM actions WHERE operation = ? AND id < ? ORDER BY id DESC LIMIT ?'

/** Removes, among the 20 oldest actions, those that began before a given time. The oldest ones have the lowest ids. */
export const REMOVE =
  'DELETE FROM actions WHERE id IN (SELECT id FROM actions ORDER BY id LIMIT 20) AND begun_at < ?'

export interface ActionStoreOptions {
  /** How long an action is kept, in milliseconds. Older ones are removed when new ones begin. Default: for ever. */
  keepMs?: number
  /** Pages that the write-ahead log may have before it is copied into the file. Default 500 (2 MB). */
  checkpointPages?: number
}

/**
 * Opens the record of what operators did. Actions are rare, so each write is a transaction of its own on the
 * calling thread. Several processes may write to the file.
 *
 * @throws CqrsError CQRS_STORE_… if the file cannot be opened; each method rejects with the same codes
 */
export function openSqliteActionStore(
  path: string,
  { keepMs, checkpointPages = 500 }: ActionStoreOptions = {},
): ActionStore {
  const db = openDatabase({ path, schema: actionSchema, cacheKiB: 512, checkpointPages })
  const begin = db.prepare(
    `INSERT INTO actions (operation, input, by, place, begun_at, outcome, result)
     VALUES (?, ?, ?, ?, ?, 'begun', 'null')`,
  )
  const end = db.prepare('UPDATE actions SET outcome = ?, result = ?, ended_at = ? WHERE id = ?')
  const remove = db.prepare(REMOVE)
  const list = db.prepare(LIST)
  const listOf = db.prepare(LIST_OF_OPERATION)
  const checkpointed = withWholeCheckpoints(db, path)
  const attempt = <Result>(act: () => Result): Result => {
    try {
      return act()
    } catch (error) {
      throw toStoreError(error, path)
    }
  }
  const write = <Result>(act: () => Result): Result => attempt(() => checkpointed(act))
  const removeOld = (now: string): void => {
    if (keepMs === undefined) return
    try {
      write(() => remove.run(new Date(Date.parse(now) - keepMs).toISOString()))
    } catch {
      // This action has been recorded and can go on. The next one tries again to remove old ones.
    }
  }
  return {
    begin: async ({ operation, input, by, from, begunAt }) => {
      const id = write(() =>
        Number(begin.run(operation, JSON.stringify(input ?? null), by, from, begunAt).lastInsertRowid),
      )
      removeOld(begunAt)
      return id
    },
    end: async (id, { outcome, result, endedAt }) =>
      void write(() => end.run(outcome, JSON.stringify(result ?? null), endedAt, id)),
    list: async ({ before, limit, operation }) =>
      attempt(() => {
        const rows = operation === undefined ? list.all(before, limit) : listOf.all(operation, before, limit)
        return rows.map(toAction)
      }),
    close: async () => {
      if (db.isOpen) db.close()
    },
  }
}

function toAction(row: Record<string, unknown>): Action {
  return {
    id: row.id as number,
    operation: row.operation as string,
    input: readable(row.input),
    by: row.by as string,
    from: row.place as string,
    begunAt: row.begun_at as string,
    endedAt: row.ended_at as string | null,
    outcome: row.outcome as Action['outcome'],
    result: readable(row.result),
  }
}

/** Parses a stored value; one record with damaged bytes must not keep the others from being shown. */
function readable(text: unknown): unknown {
  try {
    return parseJson(text as string)
  } catch {
    return 'This cannot be read any more: its bytes changed on the disk.'
  }
}
