import type { DatabaseSync } from 'node:sqlite'
import { reached } from '../../boundaries.ts'
import type { ProjectionDefinition } from '../../kernel/projection.ts'
import { type Checkpoints, takeCheckpointsAside } from '../../sqlite/checkpoints.ts'
import { inTransaction } from '../../sqlite/transaction.ts'
import type {
  Checkpoint,
  CommitOutcome,
  Discarded,
  EffectPlace,
  ParkedCounts,
  ParkedEvent,
  PlacedEffect,
  RecordedEffect,
  Redriven,
  TakeOverStep,
  Trial,
  ViewChange,
  ViewStore,
} from '../contract.ts'
import { EMPTY_DIGEST, passesMark } from '../digest.ts'
import { type Duty, positionOf } from '../duty.ts'
import { freezeJson } from '../plain-json.ts'
import { EffectTable } from './effect-table.ts'
import { HandoverTables } from './handover-tables.ts'
import { createIndexes } from './indexes.ts'
import { fileNumber, openView, wasReplaced } from './open-view.ts'
import { ParkedTable } from './parked-table.ts'
import { type DocumentRow, documentChecksum, toDocument } from './rows.ts'
import { foreignView, OtherRow, toViewError } from './view-error.ts'

export interface OpenViewOptions {
  /** Whether to bring the view's indexes in step with the definition. Default true. */
  readonly indexes?: boolean
  /** The version of the fold that made the view. Default that of the definition. */
  readonly version?: number
  /** Whether a missing file counts as damaged, instead of being created. Default false. */
  readonly mustExist?: boolean
}

/**
 * Opens one generation of a view in an SQLite file, for its writer.
 *
 * Commits are not synced one by one: a power cut may undo the last ones, documents and checkpoint together; then their
 * events are applied again from the log. Only what the log does not hold is synced, such as an operator's discard.
 *
 * @throws CqrsError CQRS_STORE_CORRUPT if the file is damaged; CQRS_STORE_FOREIGN if it holds another view or another
 *   version of it; another CQRS_STORE_… if it cannot be opened
 */
export function openSqliteView(
  path: string,
  projection: ProjectionDefinition,
  { indexes = true, version = projection.version, mustExist = false }: OpenViewOptions = {},
): ViewStore {
  // Read before the file is opened: if another one takes its place in between, isReplaced notices it.
  const existing = fileNumber(path)
  const db = openView(path, projection.name, { mustExist })
  try {
    claim(db, path, projection.name, version)
    if (indexes) createIndexes(db, projection.indexes)
    return new SqliteViewStore(db, path, projection.name, existing ?? fileNumber(path))
  } catch (error) {
    db.close()
    throw toViewError(error, path, projection.name)
  }
}

function claim(db: DatabaseSync, path: string, name: string, version: number): void {
  db.prepare(`INSERT OR IGNORE INTO checkpoint (id, projection, version, position, processed, digest, revision)
    VALUES (1, ?, ?, 0, 0, ?, 0)`).run(name, version, EMPTY_DIGEST)
  const found = db.prepare('SELECT projection, version FROM checkpoint').get()
  if (found?.projection === name && found.version === version) return
  throw foreignView(
    `${path} should hold version ${version} of the view ${name}, but holds version ${found?.version} of ` +
      `${found?.projection}. Put back a copy of the file and of the control store (control.db) from the same moment; or ` +
      `rebuild the view with "cqrs rebuild ${name}".`,
    path,
  )
}

class SqliteViewStore implements ViewStore {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #projection: string
  readonly #fileNumber: bigint | undefined
  readonly #sql: ReturnType<typeof statements>
  readonly #parked: ParkedTable
  readonly #effects: EffectTable
  readonly #handover: HandoverTables
  readonly #checkpoints: Checkpoints

  constructor(db: DatabaseSync, path: string, projection: string, number: bigint | undefined) {
    this.#db = db
    this.#path = path
    this.#projection = projection
    this.#fileNumber = number
    this.#sql = statements(db)
    this.#parked = new ParkedTable(db)
    this.#effects = new EffectTable(db)
    this.#handover = new HandoverTables(db, this.#effects)
    this.#checkpoints = takeCheckpointsAside(path)
  }

  async checkpoint(): Promise<Checkpoint> {
    return this.#run(() => ({ ...this.#sql.checkpoint.get() }) as unknown as Checkpoint)
  }

  async load(keys: Iterable<string>): Promise<Map<string, unknown>> {
    return this.#run(() => {
      const loaded = new Map<string, unknown>()
      for (const key of keys) {
        const row = this.#sql.document.get(key)
        if (row)
          loaded.set(key, freezeJson(toDocument({ ...row, key } as unknown as DocumentRow, this.#path)))
      }
      return loaded
    })
  }

  async commit(change: ViewChange): Promise<CommitOutcome> {
    // An operator's action is recorded nowhere else, so it is synced; the rest can be derived from the log.
    const durable = (change.discarded?.length ?? 0) > 0
    return this.#run(() =>
      this.#transaction(durable, () => {
        const checkpoint = this.#sql.checkpoint.get() as unknown as Checkpoint
        if (checkpoint.revision !== change.expectedRevision) return { kind: 'superseded' }
        const revision = checkpoint.revision + 1
        this.#write(change)
        this.#sql.endTrial.run(checkpoint.revision)
        const { position, processed, digest } = change.advanceTo ?? checkpoint
        this.#sql.advance.run(position, processed, digest, revision)
        for (const mark of change.marks ?? []) this.#sql.mark.run(mark.position, mark.processed, mark.digest)
        if (passesMark(checkpoint.processed, processed)) this.#sql.mark.run(position, processed, digest)
        reached('view-written', this.#projection)
        return { kind: 'committed', revision }
      }),
    )
  }

  /** @param durable sync this one commit to disk */
  #transaction<Result>(durable: boolean, work: () => Result): Result {
    try {
      if (durable) this.#db.exec('PRAGMA synchronous = FULL')
      return inTransaction(this.#db, work)
    } finally {
      if (durable) this.#db.exec('PRAGMA synchronous = NORMAL')
    }
  }

  async beginTrial({ from, to, ends }: Trial, revision: number): Promise<void> {
    this.#run(() => this.#sql.beginTrial.run(from, to, ends, revision))
  }

  async endTrial(revision: number): Promise<void> {
    this.#run(() => this.#sql.endTrial.run(revision))
  }

  async trial(): Promise<Trial | undefined> {
    return this.#run(() => {
      const row = this.#sql.trial.get()
      return row && { from: Number(row.from_position), to: Number(row.to_position), ends: Number(row.ends) }
    })
  }

  #write({ documents, parked, settled, effects, withheld = [], discarded = [] }: ViewChange): void {
    const sql = this.#sql
    // Events that were settled in the previous generation have had their effects already.
    const due = effects.filter(({ idempotencyKey }) => !this.#parked.isSilent(positionOf(idempotencyKey)))
    for (const [key, document] of documents) {
      if (document === null) {
        const removed = sql.removeDocument.get(key)
        if (removed && removed.key !== key) throw new OtherRow('documents', key)
      } else {
        const text = JSON.stringify(document)
        sql.putDocument.run(key, text, documentChecksum(key, text))
      }
    }
    for (const position of settled) this.#parked.settle(position)
    for (const event of parked) this.#parked.put(event)
    for (const effect of due) this.#effects.add(effect)
    this.#handover.withhold(withheld)
    for (const one of discarded) this.#handover.recordDiscard(one)
  }

  async hasParked(): Promise<boolean> {
    return this.#run(() => this.#parked.hasAny())
  }

  async parkedSequences(among: Iterable<string>): Promise<Set<string>> {
    return this.#run(() => this.#parked.sequencesAmong(among))
  }

  async dueEvents(now: number, limit: number): Promise<ParkedEvent[]> {
    return this.#run(() => this.#parked.due(now, limit))
  }

  async notDueAfter(latest: number): Promise<void> {
    this.#run(() => this.#parked.notDueAfter(latest))
  }

  async nextDueAt(): Promise<number | undefined> {
    return this.#run(() => this.#parked.nextDueAt())
  }

  async sequence(sequence: string, limit: number): Promise<ParkedEvent[]> {
    return this.#run(() => this.#parked.sequence(sequence, limit))
  }

  async letters({ after, limit }: { after: number; limit: number }) {
    return this.#run(() => this.#parked.letters(after, limit))
  }

  async parkedEvent(position: number): Promise<ParkedEvent | undefined> {
    return this.#run(() => this.#parked.find(position))
  }

  async parkedCounts(): Promise<ParkedCounts> {
    return this.#run(() => this.#parked.counts())
  }

  async pendingEffects(limit: number, maxBytes = Number.POSITIVE_INFINITY): Promise<RecordedEffect[]> {
    return this.#run(() => this.#effects.pending(limit, maxBytes))
  }

  async effectsBefore(place: number | undefined, limit: number, maxBytes: number): Promise<PlacedEffect[]> {
    return this.#run(() => this.#effects.before(place, limit, maxBytes))
  }

  async assertNoMoreEffectsThan(count: number): Promise<void> {
    this.#run(() => this.#effects.assertNoMoreThan(count))
  }

  async effectsSent(idempotencyKeys: readonly string[]): Promise<void> {
    this.#run(() => this.#effects.sent(idempotencyKeys))
  }

  async effectStopped(idempotencyKey: string, times: number): Promise<void> {
    this.#run(() => this.#effects.stopped(idempotencyKey, times))
  }

  async effectFailed(idempotencyKey: string, failure: Parameters<EffectTable['failed']>[1]): Promise<void> {
    this.#run(() => this.#effects.failed(idempotencyKey, failure))
  }

  async deadEffects(...which: Parameters<ViewStore['deadEffects']>): Promise<RecordedEffect[]> {
    return this.#run(() => this.#effects.dead(...which))
  }

  async redriveEffects(idempotencyKey?: string, after?: EffectPlace): Promise<Redriven> {
    const redriven = this.#run(() =>
      this.#transaction(false, () => this.#effects.redrive(idempotencyKey, after)),
    )
    if (redriven.redriven > 0) reached('effect-redriven', this.#projection)
    return redriven
  }

  async discardEffect(
    idempotencyKey: string,
    discard: Parameters<EffectTable['discard']>[1],
  ): Promise<boolean> {
    const discarded = this.#run(() =>
      this.#transaction(true, () => this.#effects.discard(idempotencyKey, discard)),
    )
    if (discarded) reached('effect-discarded', this.#projection)
    return discarded
  }

  async discardedAmong(positions: readonly number[]): Promise<Discarded[]> {
    return this.#run(() => this.#handover.discardedAmong(positions))
  }

  async discardedAfter(place: number, limit: number, maxBytes = Number.POSITIVE_INFINITY) {
    return this.#run(() => this.#handover.discardedAfter(place, limit, maxBytes))
  }

  async duty(among: readonly number[]): Promise<Duty> {
    // Read within the synced transaction: what this reports as settled may be dropped elsewhere, so it must be on disk.
    return this.#run(() =>
      this.#transaction(true, () => {
        this.#handover.touch()
        return this.#handover.duty(among)
      }),
    )
  }

  async parkedAfter(position: number, limit: number): Promise<number[]> {
    return this.#run(() => this.#handover.parkedAfter(position, limit))
  }

  async withheldAfter(position: number, limit: number, maxBytes = Number.POSITIVE_INFINITY) {
    return this.#run(() => this.#handover.withheldAfter(position, limit, maxBytes))
  }

  async dropWithheld(positions: readonly number[]): Promise<void> {
    this.#run(() => this.#transaction(false, () => this.#handover.dropWithheld(positions)))
  }

  async takeOver(step: TakeOverStep, expectedRevision: number): Promise<boolean> {
    const isLast = step.swap !== undefined
    return this.#run(() =>
      this.#transaction(isLast, () => {
        if (this.#sql.checkpoint.get()?.revision !== expectedRevision) return false
        this.#handover.takeOver(step)
        return true
      }),
    )
  }

  async tookOver(): Promise<number> {
    return this.#run(() => this.#handover.tookOver())
  }

  isReplaced(): boolean {
    return wasReplaced(this.#path, this.#fileNumber)
  }

  async close(): Promise<void> {
    await this.#checkpoints.stop()
    if (this.#db.isOpen) this.#db.close()
  }

  #run<Result>(work: () => Result): Result {
    try {
      return work()
    } catch (error) {
      throw toViewError(error, this.#path, this.#projection)
    }
  }
}

function statements(db: DatabaseSync) {
  return {
    checkpoint: db.prepare('SELECT position, processed, digest, revision FROM checkpoint'),
    advance: db.prepare('UPDATE checkpoint SET position = ?, processed = ?, digest = ?, revision = ?'),
    mark: db.prepare('INSERT OR REPLACE INTO digest_marks VALUES (?, ?, ?)'),
    beginTrial: db.prepare(`INSERT OR REPLACE INTO trial (id, from_position, to_position, ends)
      SELECT 1, ?, ?, ? FROM checkpoint WHERE revision = ?`),
    trial: db.prepare('SELECT from_position, to_position, ends FROM trial'),
    endTrial: db.prepare('DELETE FROM trial WHERE ? = (SELECT revision FROM checkpoint)'),
    document: db.prepare('SELECT document, checksum FROM documents WHERE key = ?'),
    putDocument: db.prepare(`INSERT INTO documents (key, document, checksum) VALUES (?, ?, ?)
      ON CONFLICT (key) DO UPDATE SET document = excluded.document, checksum = excluded.checksum`),
    removeDocument: db.prepare('DELETE FROM documents WHERE key = ? RETURNING key'),
  }
}
