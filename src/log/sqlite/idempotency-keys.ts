import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { RecordedCommand } from '../contract.ts'
import { type CommandRow, commandChecksum, toRecordedCommand } from './row.ts'

/** Expired keys that a transaction removes for each key that it stores. More than one, so that a backlog shrinks. */
const PRUNED_PER_KEY = 2

/** The most expired keys that one transaction removes. */
const PRUNED_AT_MOST = 256

/** The columns read for a command, besides the key, which the caller knows. */
export const COMMAND_COLUMNS = 'fingerprint, stream, position, version, events, checksum'

export interface IdempotencyKeysOptions {
  /** How long a key is kept, in milliseconds during which the log is in use; undefined: for ever. */
  keepMs: number | undefined
  /** A clock that never jumps, in milliseconds. */
  monotonic: () => number
}

/**
 * The idempotency keys of the log, inside the writer's transactions.
 *
 * A key ages only while the log is in use. Its age is measured on a clock of the log's own: when the log is opened,
 * that clock continues from the time of the youngest key, and from there it follows the monotonic clock. So a young key
 * is not forgotten because the wall clock jumps, or was wrong when a process started. The time while the system is down
 * does not count, nor does the time between the last key and a restart: both make keys live longer.
 *
 * Expired keys are removed by the commits that store new ones, two for each. This needs no transaction, scan or sync of
 * its own. If the commit fails, the removal is rolled back with it.
 */
export class IdempotencyKeys {
  readonly #sql: Readonly<Record<'find' | 'add' | 'prune', StatementSync>>
  readonly #options: IdempotencyKeysOptions
  /** The time on the log's own clock when the monotonic clock shows 0. */
  readonly #origin: number
  #added = 0

  constructor(db: DatabaseSync, options: IdempotencyKeysOptions) {
    this.#options = options
    this.#sql = statements(db)
    const youngest = db.prepare('SELECT max(running_ms) AS ms FROM commands').get()
    this.#origin = Number(youngest?.ms ?? 0) - options.monotonic()
  }

  /** To be called when a transaction begins. */
  begin(): void {
    this.#added = 0
  }

  /** The command that used a key, if it is still known. @throws CqrsError CQRS_STORE_CORRUPT */
  find(key: string): RecordedCommand | undefined {
    const row = this.#sql.find.get(key) as unknown as CommandRow | undefined
    return row && toRecordedCommand({ ...row, key })
  }

  add(command: RecordedCommand, recordedAt: number): void {
    const { key, fingerprint, stream, position, version, events } = command
    const sum = commandChecksum(command)
    this.#sql.add.run(key, fingerprint, stream, position, version, events, recordedAt, sum, this.#now())
    this.#added += 1
  }

  /** Removes some expired keys; to be called before the transaction commits. */
  prune(): void {
    const { keepMs } = this.#options
    if (keepMs === undefined || this.#added === 0) return
    const limit = Math.min(this.#added * PRUNED_PER_KEY, PRUNED_AT_MOST)
    this.#sql.prune.run(this.#now() - keepMs, limit)
  }

  #now(): number {
    return Math.round(this.#origin + this.#options.monotonic())
  }
}

function statements(db: DatabaseSync) {
  return {
    find: db.prepare(`SELECT ${COMMAND_COLUMNS} FROM commands WHERE key = ?`),
    add: db.prepare(`INSERT INTO commands
      (key, fingerprint, stream, position, version, events, recorded_at, checksum, running_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    /**
     * The age is checked again on the row that is removed: in a damaged page SQLite can find the row of another key.
     */
    prune: db.prepare(`DELETE FROM commands WHERE running_ms < ?1 AND key IN
      (SELECT key FROM commands WHERE running_ms < ?1 ORDER BY running_ms LIMIT ?2)`),
  }
}
