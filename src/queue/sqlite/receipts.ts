import { hash } from 'node:crypto'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { CqrsError } from '../../kernel/errors.ts'
import { DIGEST_WORDS, DigestSet } from './digest-set.ts'

/** How many rows of forgotten receipts one transaction deletes at most. */
const FORGET_CHUNK = 64

/**
 * The receipts (message ids) that the store has seen, so that a second message with the same receipt is recognised as a
 * duplicate, whether the first still waits or finished long ago. The newest `remembered` receipts are certain to be
 * recognised; up to as many older ones may be.
 *
 * An index in the database would cost more than the message itself: receipts are random, so each would land on a page
 * of its own. Instead, their digests are appended, one row for each transaction, and looked up in memory. They are in
 * two sets: when the newer one is full, the older one is forgotten.
 */
export class Receipts {
  readonly #db: DatabaseSync
  readonly #insert: StatementSync
  readonly #forget: StatementSync
  #newer: DigestSet
  #older: DigestSet
  /** The first row of each set; rows before that of the older set belong to forgotten receipts. */
  #newerFrom = 1
  #olderFrom = 1
  #firstRow = 1
  #nextRow = 1
  #batch = new Uint32Array(1_024 * DIGEST_WORDS)
  #batchWords = 0

  constructor(db: DatabaseSync, remembered: number) {
    this.#db = db
    this.#newer = new DigestSet(remembered)
    this.#older = new DigestSet(remembered)
    this.#insert = db.prepare('INSERT INTO receipts (batch, digests) VALUES (?, ?)')
    this.#forget = db.prepare('DELETE FROM receipts WHERE batch < ?')
    this.load()
  }

  /** Reads what is stored, and forgets what a failed transaction had added. */
  load(): void {
    this.#newer.clear()
    this.#older.clear()
    this.#batchWords = 0
    this.#newerFrom = this.#olderFrom = this.#firstRow = this.#nextRow = 1
    let first = true
    for (const row of this.#db.prepare('SELECT batch, digests FROM receipts ORDER BY batch').iterate()) {
      const bytes = row.digests as Uint8Array | null
      if (!bytes || bytes.length % (DIGEST_WORDS * 4) !== 0) throw damaged(row.batch)
      this.#nextRow = row.batch as number
      if (first) this.#newerFrom = this.#olderFrom = this.#firstRow = this.#nextRow
      first = false
      const words = new Uint32Array(bytes.slice().buffer)
      for (let offset = 0; offset < words.length; offset += DIGEST_WORDS) this.#add(words, offset)
      this.#nextRow += 1
    }
  }

  /** Whether the receipt is new. If it is, it is added to the receipts of this transaction. */
  take(queue: number, receipt: string): boolean {
    const digest = hash('sha1', `${queue}\n${receipt}`, 'buffer')
    const offset = this.#batchWords
    if (offset + DIGEST_WORDS > this.#batch.length) this.#growBatch()
    for (let word = 0; word < DIGEST_WORDS; word += 1) {
      this.#batch[offset + word] = digest.readUInt32LE(word * 4) || 1
    }
    if (this.#newer.has(this.#batch, offset) || this.#older.has(this.#batch, offset)) return false
    this.#add(this.#batch, offset)
    this.#batchWords += DIGEST_WORDS
    return true
  }

  /** How many transactions have stored receipts. Grows with each commit that accepts a message. */
  get commits(): number {
    return this.#nextRow - 1
  }

  /** Writes this transaction's receipts. */
  prepare(): void {
    if (this.#batchWords === 0) return
    this.#insert.run(this.#nextRow, new Uint8Array(this.#batch.buffer, 0, this.#batchWords * 4))
    this.#nextRow += 1
    this.#batchWords = 0
    if (this.#firstRow >= this.#olderFrom) return
    this.#firstRow = Math.min(this.#firstRow + FORGET_CHUNK, this.#olderFrom)
    this.#forget.run(this.#firstRow)
  }

  #add(words: Uint32Array, offset: number): void {
    if (this.#newer.isFull) {
      const oldest = this.#older
      this.#older = this.#newer
      this.#newer = oldest
      this.#newer.clear()
      this.#olderFrom = this.#newerFrom
      this.#newerFrom = this.#nextRow
    }
    this.#newer.add(words, offset)
  }

  #growBatch(): void {
    const grown = new Uint32Array(this.#batch.length * 2)
    grown.set(this.#batch)
    this.#batch = grown
  }
}

function damaged(batch: unknown): CqrsError {
  return new CqrsError(
    'CQRS_STORE_CORRUPT',
    `Batch ${batch} of the receipts in the queue store is damaged. Restore the store from a backup.`,
  )
}
