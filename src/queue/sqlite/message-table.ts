import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { parseJson } from '../../kernel/json.ts'
import { rowChecksum } from '../../sqlite/row-checksum.ts'
import {
  type DeadLetter,
  type Failure,
  type FailureRecord,
  HISTORY_LIMIT,
  type MessagePage,
  type NewMessage,
  type StoredMessage,
} from '../contract.ts'
import { SEQ_BITS, SEQ_MASK } from './schema.ts'

/** The key of a message from its queue's number and its seq, both bound as parameters. */
const KEY = `((? << ${SEQ_BITS}) | ?)`
const SEQ = `key & ${SEQ_MASK} AS seq`

const UNREADABLE = 'The earlier failures cannot be read any more: their bytes changed on the disk.'

type Row = Record<string, unknown>

/** The statements on messages, failures and dead letters; each runs inside the caller's transaction. */
export class MessageTable {
  readonly #statements: Record<keyof typeof SQL, StatementSync>
  /** The number of rows in `failures`; while it is 0, nothing is looked up there. */
  #failures: number
  readonly #damaged: StoredMessage[] = []

  constructor(db: DatabaseSync) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)])
    this.#statements = Object.fromEntries(prepared)
    this.#failures = 0
    this.load()
  }

  /** Reads the number of failures from the database, at the start and after a failed transaction. */
  load(): void {
    this.#failures = Number(this.#statements.countFailures.get()?.rows)
  }

  /** @param at now, in milliseconds since the epoch */
  insert(queue: number, seq: number, message: NewMessage, at: number): void {
    const { id, functionId, group, data, traceparent } = message
    const sum = rowChecksum(seq, id, functionId, group, data)
    this.#statements.insert.run(queue, seq, id, functionId, group ?? null, data, sum, at, traceparent ?? null)
  }

  /** Removes a message; false if it is not there. */
  remove(queue: number, seq: number): boolean {
    if (Number(this.#statements.remove.run(queue, seq).changes) === 0) return false
    this.#forgetFailures(queue, seq)
    return true
  }

  /** Counts a failed delivery, the same one only once; false if the message is not there. */
  fail(queue: number, { seq, attempts, stops, failure }: FailureRecord, dueAt: number): boolean {
    if (!this.#statements.exists.get(queue, seq)) return false
    const before = this.#history(queue, seq)
    const history = JSON.stringify([...(before ?? []), failure].slice(-HISTORY_LIMIT))
    this.#statements.fail.run(queue, seq, attempts, stops, dueAt, history)
    if (!before) this.#failures += 1
    return true
  }

  /** Moves a message to the dead letters; false if it is not there. */
  bury(queue: number, { seq, attempts, stops, failure }: FailureRecord): boolean {
    const history = [...(this.#history(queue, seq) ?? []), failure].slice(-HISTORY_LIMIT)
    const { changes } = this.#statements.bury.run(
      attempts,
      stops,
      failure.at,
      JSON.stringify(history),
      queue,
      seq,
    )
    return Number(changes) === 1 && this.remove(queue, seq)
  }

  /** Messages whose bytes changed are left out; see {@link takeDamaged}. */
  read(queue: number, after: number, limit: number, maxBytes: number, tail: number): MessagePage {
    const messages: StoredMessage[] = []
    let bytes = 0
    let rows = 0
    for (const row of this.#statements.read.iterate(queue, after, queue, tail, limit)) {
      const message = toMessage(row)
      if (isWhole(row)) messages.push(message)
      else this.#damaged.push(message)
      rows += 1
      bytes += message.data.length
      if (bytes >= maxBytes || rows === limit) return { messages, end: message.seq, tail }
    }
    return { messages, end: Math.max(tail, after), tail }
  }

  loadOne(queue: number, seq: number): StoredMessage | undefined {
    const row = this.#statements.load.get(queue, seq)
    if (!row) return undefined
    const message = toMessage(row)
    if (isWhole(row)) return message
    this.#damaged.push(message)
    return undefined
  }

  /** Returns, once, the messages found damaged since the last call. The caller has to make them dead letters. */
  takeDamaged(): StoredMessage[] {
    return this.#damaged.splice(0)
  }

  /** Reads row by row, so that the data of letters that are cut is not all in memory at once. */
  deadLetters(
    queue: number,
    tail: number,
    { offset, limit, after, maxLength }: { offset: number; limit: number; after: number; maxLength: number },
  ): DeadLetter[] {
    const letters: DeadLetter[] = []
    let length = 0
    for (const row of this.#statements.deadLetters.iterate(queue, after, queue, tail, limit, offset)) {
      const letter = toDeadLetter(row)
      length += letter.data.length + String(row.history).length
      const fits = length <= maxLength || (letters.length === 0 && maxLength > 0)
      letters.push(fits ? letter : cutShort(letter))
    }
    return letters
  }

  findDeadLetter(queue: number, tail: number, id: string): DeadLetter | undefined {
    const seq = this.#findDead(queue, tail, id)
    if (seq === undefined) return undefined
    const [letter] = this.deadLetters(queue, tail, { offset: 0, limit: 1, after: seq - 1, maxLength: 1 })
    return letter
  }

  /**
   * When the oldest message of a queue was accepted or redriven; undefined if there is none, or its time was not
   * stored.
   */
  oldestAt(queue: number, tail: number): number | undefined {
    const row = this.#statements.oldestAt.get(queue, queue, tail)
    return (row?.accepted_at as number | null | undefined) ?? undefined
  }

  /** Puts up to `limit` dead letters back, oldest first; returns how many. */
  redrive(queue: number, tail: number, limit: number, at: number): number {
    const { last } = this.#statements.lastOfOldestDead.get(queue, queue, tail, limit) as {
      last: number | null
    }
    return last === null ? 0 : this.#revive(queue, 1, last, at)
  }

  /** Puts one dead letter back; false if it is not there. */
  redriveOne(queue: number, tail: number, id: string, at: number): boolean {
    const seq = this.#findDead(queue, tail, id)
    if (seq === undefined) return false
    this.#revive(queue, seq, seq, at)
    return true
  }

  /** Deletes one dead letter; false if it is not there. */
  discard(queue: number, tail: number, id: string): boolean {
    const seq = this.#findDead(queue, tail, id)
    if (seq === undefined) return false
    this.#statements.removeDead.run(queue, seq)
    return true
  }

  /** Deletes up to `limit` messages with a seq up to `through`, oldest first; returns how many. */
  purge(queue: number, through: number, limit: number): number {
    if (this.#failures > 0) {
      this.#failures -= Number(this.#statements.purgeFailures.run(queue, queue, through, limit).changes)
    }
    return Number(this.#statements.purge.run(queue, queue, through, limit).changes)
  }

  /** Deletes up to `limit` dead letters, oldest first; returns how many. */
  discardOldest(queue: number, tail: number, limit: number): number {
    const seqs = this.#statements.oldestDead.all(queue, queue, tail, limit)
    for (const row of seqs) this.#statements.removeDead.run(queue, row.seq as number)
    return seqs.length
  }

  /**
   * In a damaged page of an index, SQLite can find no letter or another one. So the id of the letter found is checked,
   * and if it is wrong, the other index is searched.
   */
  #findDead(queue: number, tail: number, id: string): number | undefined {
    const { findDead, findDeadAgain, idOfDead } = this.#statements
    for (const find of [findDead, findDeadAgain]) {
      const seq = find.get(id, queue, queue, tail)?.seq as number | undefined
      if (seq !== undefined && idOfDead.get(queue, seq)?.message_id === id) return seq
    }
    return undefined
  }

  /**
   * Puts back the dead letters in a range of seqs, with a few statements for all of them, since there may be very many.
   * Returns how many.
   */
  #revive(queue: number, first: number, last: number, at: number): number {
    const range = [queue, first, queue, last] as const
    this.#statements.revive.run(at, ...range)
    this.#failures += Number(this.#statements.keepHistory.run(...range).changes)
    return Number(this.#statements.removeRevived.run(...range).changes)
  }

  #history(queue: number, seq: number): Failure[] | undefined {
    if (this.#failures === 0) return undefined
    const row = this.#statements.history.get(queue, seq)
    return row && parseHistory(row)
  }

  #forgetFailures(queue: number, seq: number): void {
    if (this.#failures === 0) return
    this.#failures -= Number(this.#statements.forgetFailures.run(queue, seq).changes)
  }
}

const MESSAGE = `SELECT m.${SEQ}, message_id, function_id, message_group, data, checksum, traceparent, attempts, stops, due_at
  FROM messages m LEFT JOIN failures f ON f.key = m.key`
const OF_QUEUE = `key > (? << ${SEQ_BITS}) AND key <= ${KEY}`
const IN_RANGE = `key >= ${KEY} AND key <= ${KEY}`
const OLDEST = `SELECT key FROM messages WHERE ${OF_QUEUE} ORDER BY key LIMIT ?`

export const SQL = {
  insert: `INSERT INTO messages (key, message_id, function_id, message_group, data, checksum, accepted_at, traceparent)
           VALUES (${KEY}, ?, ?, ?, ?, ?, ?, ?)`,
  remove: `DELETE FROM messages WHERE key = ${KEY}`,
  exists: `SELECT 1 FROM messages WHERE key = ${KEY}`,
  fail: `INSERT INTO failures (key, attempts, stops, due_at, history) VALUES (${KEY}, ?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET attempts = excluded.attempts, stops = excluded.stops,
           due_at = excluded.due_at, history = excluded.history
           WHERE attempts <> excluded.attempts OR stops <> excluded.stops`,
  history: `SELECT history FROM failures WHERE key = ${KEY}`,
  forgetFailures: `DELETE FROM failures WHERE key = ${KEY}`,
  countFailures: 'SELECT count(*) AS rows FROM failures',
  bury: `INSERT INTO dead_letters
           (key, message_id, function_id, message_group, data, checksum, traceparent, attempts, stops, failed_at, history)
         SELECT key, message_id, function_id, message_group, data, checksum, traceparent, ?, ?, ?, ? FROM messages WHERE key = ${KEY}`,
  purge: `DELETE FROM messages WHERE key IN (${OLDEST})`,
  purgeFailures: `DELETE FROM failures WHERE key IN (${OLDEST})`,
  oldestAt: `SELECT accepted_at FROM messages WHERE ${OF_QUEUE} ORDER BY key LIMIT 1`,
  read: `${MESSAGE} WHERE m.key > ${KEY} AND m.key <= ${KEY} ORDER BY m.key LIMIT ?`,
  load: `${MESSAGE} WHERE m.key = ${KEY}`,
  deadLetters: `SELECT ${SEQ}, * FROM dead_letters WHERE key > ${KEY} AND key <= ${KEY}
                ORDER BY key LIMIT ? OFFSET ?`,
  oldestDead: `SELECT ${SEQ} FROM dead_letters WHERE ${OF_QUEUE} ORDER BY key LIMIT ?`,
  findDead: `SELECT ${SEQ} FROM dead_letters INDEXED BY dead_letters_by_message
             WHERE message_id = ? AND ${OF_QUEUE} ORDER BY key LIMIT 1`,
  findDeadAgain: `SELECT ${SEQ} FROM dead_letters INDEXED BY dead_letters_by_message_again
                  WHERE message_id || '' = ? AND ${OF_QUEUE} ORDER BY key LIMIT 1`,
  idOfDead: `SELECT message_id FROM dead_letters WHERE key = ${KEY}`,
  removeDead: `DELETE FROM dead_letters WHERE key = ${KEY}`,
  lastOfOldestDead: `SELECT max(key) & ${SEQ_MASK} AS last FROM (
                       SELECT key FROM dead_letters WHERE ${OF_QUEUE} ORDER BY key LIMIT ?)`,
  revive: `INSERT INTO messages (key, message_id, function_id, message_group, data, checksum, traceparent, accepted_at)
           SELECT key, message_id, function_id, message_group, data, checksum, traceparent, ? FROM dead_letters WHERE ${IN_RANGE}`,
  keepHistory: `INSERT INTO failures (key, attempts, stops, due_at, history)
                SELECT key, 0, 0, NULL, history FROM dead_letters WHERE ${IN_RANGE}`,
  removeRevived: `DELETE FROM dead_letters WHERE ${IN_RANGE}`,
}

/** Whether a message is still what was stored. */
function isWhole(row: Row): boolean {
  const { seq, id, functionId, group, data } = toMessage(row)
  return row.checksum === rowChecksum(seq, id, functionId, group, data)
}

function toMessage(row: Row): StoredMessage {
  return {
    seq: row.seq as number,
    // A damaged row can lack even these.
    id: (row.message_id as string | null) ?? '',
    functionId: (row.function_id as string | null) ?? '',
    group: (row.message_group as string | null) ?? undefined,
    data: (row.data as string | null) ?? '',
    traceparent: (row.traceparent as string | null) ?? undefined,
    attempts: (row.attempts as number | null) ?? 0,
    stops: (row.stops as number | null) ?? 0,
    dueAt: (row.due_at as number | null) ?? undefined,
  }
}

function toDeadLetter(row: Row): DeadLetter {
  const history = parseHistory(row)
  const { dueAt: _, ...message } = toMessage({ ...row, due_at: null })
  return { ...message, error: history.at(-1)?.error ?? '', failedAt: row.failed_at as number, history }
}

function cutShort(letter: DeadLetter): DeadLetter {
  return {
    ...letter,
    data: '',
    history: letter.history.slice(-1),
    cut: { bytes: Buffer.byteLength(letter.data) },
  }
}

/**
 * A history is only there to be shown. One that is damaged must not keep a message from being delivered or a letter
 * from being listed, so it is replaced by one failure that says that it is unreadable.
 */
function parseHistory({ history, failed_at }: Row): Failure[] {
  try {
    const parsed = parseJson(history as string)
    if (Array.isArray(parsed) && parsed.every(isFailure)) return parsed
  } catch {
    // The failure below says so.
  }
  return [{ kind: 'failed', error: UNREADABLE, at: (failed_at as number | undefined) ?? 0 }]
}

function isFailure(value: unknown): value is Failure {
  const { error, at } = (value ?? {}) as Partial<Failure>
  return typeof error === 'string' && typeof at === 'number'
}
