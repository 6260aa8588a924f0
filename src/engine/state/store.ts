import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { migrate, type StoreSchema } from '../../sqlite/migrate.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { assertChecksum, rowChecksum } from '../../sqlite/row-checksum.ts'
import { inTransaction } from '../../sqlite/transaction.ts'
import { withWholeCheckpoints } from '../../sqlite/whole-checkpoint.ts'
import type { RawJson } from '../raw-json.ts'

/** The stored values. The row number keeps the order in which keys were first written. Lists are in that order. */
export const STATE_SCHEMA: StoreSchema = {
  name: 'engine state',
  applicationId: 0x69_69_73_74,
  migrations: [
    `CREATE TABLE state (
       row INTEGER PRIMARY KEY,
       scope TEXT NOT NULL,
       key TEXT NOT NULL,
       value TEXT NOT NULL,
       UNIQUE (scope, key)
     ) STRICT`,
    `ALTER TABLE state ADD COLUMN checksum INTEGER;
     UPDATE state SET checksum = row_checksum(scope, key, value);`,
  ],
}

/** What a write did. */
export interface StateChange {
  /** Undefined where there was no value; the JSON text `null` is a value. */
  readonly before: RawJson | undefined
  readonly after: RawJson
}

/**
 * Values by scope and key in one SQLite file. What a transaction wrote is on stable storage when
 * {@link StateStore.transaction} returns.
 */
export class StateStore {
  readonly #db: DatabaseSync
  readonly #checkpointed: ReturnType<typeof withWholeCheckpoints>
  readonly #get: StatementSync
  readonly #set: StatementSync
  readonly #delete: StatementSync
  readonly #list: StatementSync
  readonly #scopes: StatementSync

  /** `path` undefined: the state lives in memory and ends with the engine. */
  constructor(path: string | undefined) {
    this.#db =
      path === undefined ? openInMemory() : openDatabase({ path, schema: STATE_SCHEMA, durability: 'full' })
    this.#checkpointed = path === undefined ? (write) => write() : withWholeCheckpoints(this.#db, path)
    this.#get = this.#db.prepare('SELECT value, checksum FROM state WHERE scope = ? AND key = ?')
    this.#set = this.#db.prepare(
      `INSERT INTO state (scope, key, value, checksum) VALUES (?, ?, ?, ?)
       ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum`,
    )
    this.#delete = this.#db.prepare('DELETE FROM state WHERE scope = ? AND key = ?')
    this.#list = this.#db.prepare(
      'SELECT scope, key, value, checksum FROM state WHERE scope = ? ORDER BY row',
    )
    this.#scopes = this.#db.prepare('SELECT DISTINCT scope FROM state ORDER BY scope')
  }

  get(scope: string, key: string): RawJson | undefined {
    const row = this.#get.get(scope, key)
    return row && toValue({ ...row, scope, key })
  }

  set(scope: string, key: string, value: RawJson): StateChange {
    const before = this.get(scope, key)
    this.#set.run(scope, key, value, rowChecksum(scope, key, value))
    return { before, after: value }
  }

  /** Removes a value and returns it. */
  delete(scope: string, key: string): RawJson | undefined {
    const before = this.get(scope, key)
    if (before !== undefined) this.#delete.run(scope, key)
    return before
  }

  /** The values of a scope, in the order in which their keys were first written. */
  list(scope: string): RawJson[] {
    return this.#list.all(scope).map(toValue)
  }

  /** The scopes that hold a value, sorted. */
  scopes(): string[] {
    return this.#scopes.all().map((row) => row.scope as string)
  }

  /** Runs `work` as one transaction: all of it is stored, or, if it throws, none. */
  transaction<T>(work: () => T): T {
    return this.#checkpointed(() => inTransaction(this.#db, work))
  }

  close(): void {
    this.#db.close()
  }
}

/** @throws CqrsError CQRS_STORE_CORRUPT if the row is not what was written */
function toValue(row: Record<string, unknown>): RawJson {
  const { scope, key, value, checksum } = row as Record<'scope' | 'key' | 'value', string> & {
    checksum: unknown
  }
  const what = `The state ${JSON.stringify(key)} in ${JSON.stringify(scope)}`
  assertChecksum(
    checksum,
    rowChecksum(scope, key, value),
    what,
    'Restore a backup, or stop the engine and move the file of its state away.',
  )
  return value as RawJson
}

function openInMemory(): DatabaseSync {
  const db = new DatabaseSync(':memory:')
  migrate(db, STATE_SCHEMA, ':memory:')
  return db
}
