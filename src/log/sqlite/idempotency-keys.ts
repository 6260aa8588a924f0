import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { RecordedCommand } from '../contract.ts'
import { type CommandRow, commandChecksum, toRecordedCommand } from './row.ts'

/** Expired keys that a transaction removes for each key that it stores, so that a backlog shrinks. */
const PRUNED_PER_KEY = 2

/** Expired keys that one transaction removes at the most. */
const PRUNED_AT_MOST = 256

/** The columns of a command that are answered, beside the key that was asked for. */
export const COMMAND_COLUMNS = 'fingerprint, stream, position, version, events, checksum'

export interface IdempotencyKeysOptions {
  /** How long a key is kept, in milliseconds of the log's work; undefined: for ever. */
  keepMs: number | undefined
  /** A clock that never jumps, in milliseconds. */
  monotonic: () => number
}

/**
 * The idempotency keys of the log, inside the writer's transactions.
 *
 * A key grows old only while the log is at work: its age is measured on a clock that counts on from the youngest
 * key's time when the log is opened and is driven by the monotonic clock from there. So neither a wall clock
 * that jumps nor one that was wrong when a process started lets a young key be forgotten; the time while
 * the system is down, or before the next key after a restart, makes keys live longer.
 *
 * Expired keys go with the commits that bring new ones, two for one: no transaction, no scan and no sync of
 * their own. A commit that fails takes the removal back with it.
 */
export class IdempotencyKeys {
  readonly #sql: Readonly<Record<'find' | 'add' | 'prune', StatementSync>>
  readonly #options: IdempotencyKeysOptions
  /** What the log's work amounts to when the monotonic clock shows 0. */
  readonly #origin: number
  #added = 0

  constructor(db: DatabaseSync, options: IdempotencyKeysOptions) {
    this.#options = options
    this.#sql = statements(db)
    const youngest = db.prepare('SELECT max(running_ms) AS ms FROM commands').get()
    this.#origin = Number(youngest?.ms ?? 0) - options.monotonic()
  }

  /** A transaction begins. */
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

  /** Removes some of what has expired, before the transaction commits. */
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
    /** Asked of the row that is removed as well: in a damaged page SQLite finds one for the key of another. */
    prune: db.prepare(`DELETE FROM commands WHERE running_ms < ?1 AND key IN
      (SELECT key FROM commands WHERE running_ms < ?1 ORDER BY running_ms LIMIT ?2)`),
  }
}
