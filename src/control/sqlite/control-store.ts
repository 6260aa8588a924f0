import type { DatabaseSync } from 'node:sqlite'
import { toStoreError } from '../../sqlite/errors.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { atOneMoment, inTransaction } from '../../sqlite/transaction.ts'
import { withWholeCheckpoints } from '../../sqlite/whole-checkpoint.ts'
import {
  activeOf,
  type ControlStore,
  type GenerationRequest,
  type PartProgress,
  type ProjectionControl,
  type RequestOutcome,
  type SwapOutcome,
} from '../contract.ts'
import { type GenerationState, statesBefore } from '../machine.ts'
import { toControl } from './rows.ts'
import { controlSchema } from './schema.ts'

export interface ControlStoreOptions {
  /** The file, e.g. `data/control.db`; created if it is missing. */
  path: string
  /** The wall clock. Default: the machine's. */
  now?: () => Date
}

/** Opens the control store in an SQLite file. @throws CqrsError CQRS_STORE_… */
export function openSqliteControl(options: ControlStoreOptions): ControlStore {
  return new SqliteControlStore(options)
}

class SqliteControlStore implements ControlStore {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #now: () => Date
  readonly #sql: ReturnType<typeof statements>
  readonly #checkpointed: ReturnType<typeof withWholeCheckpoints>
  /** What was read, kept until somebody writes. */
  readonly #known = new Map<string, ProjectionControl | undefined>()
  #dataVersion: unknown

  constructor({ path, now = () => new Date() }: ControlStoreOptions) {
    this.#path = path
    this.#now = now
    this.#db = openDatabase({ path, schema: controlSchema, cacheKiB: 1_024, checkpointPages: 1_000 })
    this.#sql = statements(this.#db)
    this.#checkpointed = withWholeCheckpoints(this.#db, path)
  }

  async projection(name: string): Promise<ProjectionControl | undefined> {
    return this.#run(() => {
      // Changes when another connection has committed (https://www.sqlite.org/pragma.html#pragma_data_version).
      const version = this.#sql.dataVersion.get()?.data_version
      if (version !== this.#dataVersion) this.#known.clear()
      this.#dataVersion = version
      if (!this.#known.has(name)) {
        this.#known.set(
          name,
          atOneMoment(this.#db, () => this.#readProjection(name)),
        )
      }
      return this.#known.get(name)
    })
  }

  async adopt(first: { projection: string; generation: number; version: number; partitions: number }) {
    const { projection, generation, version, partitions } = first
    this.#write(() => {
      if (this.#sql.addProjection.run(projection, generation + 1).changes === 0) return
      const now = this.#timestamp()
      this.#sql.addGeneration.run(
        projection,
        generation,
        version,
        partitions,
        'active',
        'serve',
        null,
        0,
        'cqrs',
        now,
        now,
      )
      this.#addParts(projection, generation, partitions, 'following')
    })
  }

  async request(request: GenerationRequest): Promise<RequestOutcome> {
    const { projection, version, partitions, purpose, until, requireParity = false, restart, by } = request
    return this.#write(() => {
      const underWay = this.#sql.underWay.get(projection, purpose)
      if (underWay) {
        const generation = Number(underWay.generation)
        if (!restart) return { kind: 'joined', generation }
        this.#moveTo('cancelling', projection, generation)
      }
      const generation = Number(this.#sql.takeNumber.get(projection)?.generation)
      const now = this.#timestamp()
      this.#sql.addGeneration.run(
        projection,
        generation,
        version,
        partitions,
        'building',
        purpose,
        until ?? null,
        Number(requireParity),
        by,
        now,
        now,
      )
      this.#addParts(projection, generation, partitions, 'waiting')
      return { kind: 'created', generation }
    })
  }

  async progress(projection: string, generation: number, partition: number, progress: PartProgress) {
    const { phase, position, target, eventsPerSecond, error } = progress
    this.#write(() =>
      this.#sql.progress.run(
        phase,
        position,
        target,
        eventsPerSecond,
        error ?? null,
        this.#timestamp(),
        projection,
        generation,
        partition,
      ),
    )
  }

  async lead(projection: string, generation: number, partition: number, beside: number) {
    this.#write(() => this.#sql.lead.run(projection, generation, partition, beside))
  }

  async fallBehind(projection: string, generation: number, partitions: readonly number[]) {
    this.#write(() => {
      this.#sql.buildOn.run(this.#timestamp(), projection, generation)
      for (const partition of partitions) this.#sql.fallBehind.run(projection, generation, partition)
    })
  }

  async move(
    projection: string,
    generation: number,
    to: Exclude<GenerationState, 'active'>,
    { error, forced = false }: { error?: string; forced?: boolean } = {},
  ): Promise<boolean> {
    return this.#write(() => {
      if (to === 'ready' && !this.#allLead(projection, generation)) return false
      if (to === 'side' && !this.#allAtTheirEnd(projection, generation)) return false
      if (to === 'pruning' && this.#leavesEffects(projection, generation)) return false
      if (!this.#moveTo(to, projection, generation, forced)) return false
      // From now on it is advanced after the active one.
      if (to === 'previous') this.#sql.follow.run(projection, generation)
      this.#sql.explain.run(error ?? null, Number(forced), projection, generation)
      return true
    })
  }

  async report(projection: string, generation: number, report: unknown, beside: number): Promise<void> {
    this.#write(() => this.#sql.report.run(JSON.stringify(report), projection, generation, beside))
  }

  async swap(projection: string, generation: number): Promise<SwapOutcome> {
    return this.#write((): SwapOutcome => {
      const control = this.#readProjection(projection)
      const incoming = control?.generations.find((one) => one.generation === generation)
      const outgoing = activeOf(control)
      if (!control || !incoming || !outgoing) return { kind: 'refused' }
      if (!statesBefore('active').includes(incoming.state)) return { kind: 'refused' }
      if (!incoming.forced && !this.#allLead(projection, generation)) return { kind: 'not-yet' }
      if (!isTakenOver(control)) return { kind: 'not-yet' }
      const now = this.#timestamp()
      const set = (state: GenerationState, one: number) => this.#sql.set.run(state, now, projection, one)
      for (const { state, generation: one } of control.generations) {
        if (state !== 'previous' && state !== 'returning') continue
        set('retired', one)
        const why = `Generation ${generation} was swapped in before this one could return.`
        if (state === 'returning' && one !== generation) this.#sql.explain.run(why, 0, projection, one)
      }
      set('previous', outgoing.generation)
      set('active', generation)
      this.#sql.swapped.run(outgoing.generation, projection)
      this.#sql.stopLeading.run(projection)
      this.#sql.compareAnew.run(now, projection)
      this.#sql.forgetTakenOver.run(projection)
      return { kind: 'swapped' }
    })
  }

  async tookOver(projection: string, partition: number, swap: number): Promise<void> {
    this.#write(() => this.#sql.tookOver.run(projection, partition, swap))
  }

  async gone(projection: string, generation: number, partition: number): Promise<void> {
    this.#write(() => {
      this.#sql.gone.run(projection, generation, partition)
      if (this.#sql.present.get(projection, generation)?.parts !== 0) return
      // A `verified` generation stays, as a report without files, until it is pruned.
      if (this.#sql.forgetGeneration.run(projection, generation).changes === 0) return
      this.#sql.forgetParts.run(projection, generation)
    })
  }

  async pause(projection: string, paused: boolean): Promise<void> {
    this.#write(() => this.#sql.pause.run(Number(paused), projection))
  }

  async noteFold(projection: string, version: number, fold: string): Promise<'same' | 'changed'> {
    const known = this.#run(() => this.#sql.fold.get(projection, version)?.fold)
    if (known === fold) return 'same'
    this.#write(() => this.#sql.noteFold.run(projection, version, fold))
    return known === undefined ? 'same' : 'changed'
  }

  async close(): Promise<void> {
    if (this.#db.isOpen) this.#db.close()
  }

  #readProjection(name: string): ProjectionControl | undefined {
    const projection = this.#sql.projection.get(name)
    if (!projection) return undefined
    return toControl(
      projection,
      this.#sql.generations.all(name),
      this.#sql.parts.all(name),
      this.#sql.takenOver.all(name),
    )
  }

  #addParts(projection: string, generation: number, partitions: number, phase: string): void {
    for (let partition = 0; partition < partitions; partition += 1) {
      this.#sql.addPart.run(projection, generation, partition, phase, this.#timestamp())
    }
  }

  #moveTo(to: GenerationState, projection: string, generation: number, forced = false): boolean {
    const before = JSON.stringify(statesBefore(to, forced))
    return this.#sql.move.run(to, this.#timestamp(), projection, generation, before).changes === 1
  }

  #allLead(projection: string, generation: number): boolean {
    return this.#sql.notLeading.get(projection, generation)?.parts === 0
  }

  #allAtTheirEnd(projection: string, generation: number): boolean {
    return this.#sql.notThere.get(projection, generation)?.parts === 0
  }

  /** Whether some part of the active generation has not yet taken over the effects that this generation leaves. */
  #leavesEffects(projection: string, generation: number): boolean {
    const control = this.#readProjection(projection)
    return control?.outgoing === generation && !isTakenOver(control)
  }

  #timestamp(): string {
    return this.#now().toISOString()
  }

  #write<Result>(work: () => Result): Result {
    return this.#run(() => {
      try {
        return this.#checkpointed(() => inTransaction(this.#db, work))
      } finally {
        // The data version does not change with this connection's own writes.
        this.#known.clear()
      }
    })
  }

  #run<Result>(work: () => Result): Result {
    try {
      return work()
    } catch (error) {
      throw toStoreError(error, this.#path)
    }
  }
}

/** Whether all parts of the active generation have taken over the effects that the previous one still had to send. */
function isTakenOver(control: ProjectionControl): boolean {
  const { swaps, takenOver } = control
  const active = activeOf(control)
  return swaps === 0 || !active || active.parts.every(({ partition }) => takenOver.get(partition) === swaps)
}

function statements(db: DatabaseSync) {
  return {
    dataVersion: db.prepare('PRAGMA data_version'),
    projection: db.prepare('SELECT * FROM projections WHERE name = ?'),
    generations: db.prepare('SELECT * FROM generations WHERE projection = ? ORDER BY generation'),
    parts: db.prepare('SELECT * FROM parts WHERE projection = ? ORDER BY generation, partition'),
    takenOver: db.prepare('SELECT partition, swap FROM taken_over WHERE projection = ?'),
    addProjection: db.prepare('INSERT OR IGNORE INTO projections (name, next_generation) VALUES (?, ?)'),
    takeNumber: db.prepare(`UPDATE projections SET next_generation = next_generation + 1 WHERE name = ?
      RETURNING next_generation - 1 AS generation`),
    addGeneration:
      db.prepare(`INSERT INTO generations (projection, generation, version, partitions, state, purpose,
      until, require_parity, requested_by, requested_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    addPart: db.prepare('INSERT INTO parts VALUES (?, ?, ?, ?, 0, 0, 0, 0, NULL, ?)'),
    underWay: db.prepare(`SELECT generation FROM generations
      WHERE projection = ? AND purpose = ? AND state IN ('building', 'ready')`),
    progress:
      db.prepare(`UPDATE parts SET phase = ?, position = ?, target = ?, events_per_second = ?, error = ?,
      updated_at = ? WHERE projection = ? AND generation = ? AND partition = ? AND phase <> 'gone'`),
    lead: db.prepare(`UPDATE parts SET leading = 1 WHERE projection = ?1 AND generation = ?2 AND partition = ?3
      AND phase = 'following'
      AND EXISTS (SELECT 1 FROM generations WHERE projection = ?1 AND generation = ?4 AND state = 'active')
      AND EXISTS (SELECT 1 FROM generations WHERE projection = ?1 AND generation = ?2
        AND state IN ('building', 'ready', 'returning'))`),
    buildOn: db.prepare(`UPDATE generations SET state = 'building', report = NULL,
      changed_at = CASE state WHEN 'building' THEN changed_at ELSE ? END
      WHERE projection = ? AND generation = ? AND state IN ('building', 'ready')`),
    fallBehind: db.prepare(`UPDATE parts SET leading = 0,
      phase = iif(phase = 'following' AND generations.state = 'building', 'waiting', phase)
      FROM generations WHERE parts.projection = ? AND parts.generation = ? AND partition = ?
      AND generations.projection = parts.projection AND generations.generation = parts.generation
      AND generations.state IN ('building', 'returning')`),
    follow: db.prepare('UPDATE parts SET leading = 0 WHERE projection = ? AND generation = ?'),
    stopLeading: db.prepare('UPDATE parts SET leading = 0 WHERE projection = ?'),
    notLeading: db.prepare(`SELECT count(*) AS parts FROM parts
      WHERE projection = ? AND generation = ? AND leading = 0`),
    notThere: db.prepare(`SELECT count(*) AS parts FROM parts
      WHERE projection = ? AND generation = ? AND (phase <> 'following' OR position < target)`),
    move: db.prepare(`UPDATE generations SET state = ?, changed_at = ?
      WHERE projection = ? AND generation = ? AND state IN (SELECT value FROM json_each(?))`),
    set: db.prepare(
      'UPDATE generations SET state = ?, changed_at = ? WHERE projection = ? AND generation = ?',
    ),
    explain: db.prepare(
      'UPDATE generations SET error = ?, forced = ? WHERE projection = ? AND generation = ?',
    ),
    report: db.prepare(
      `UPDATE generations SET report = ?1 WHERE projection = ?2 AND generation = ?3 AND state = 'ready'
      AND EXISTS (SELECT 1 FROM generations WHERE projection = ?2 AND generation = ?4 AND state = 'active')`,
    ),
    compareAnew: db.prepare(`UPDATE generations SET state = 'building', report = NULL, changed_at = ?
      WHERE projection = ? AND state = 'ready'`),
    swapped: db.prepare('UPDATE projections SET swaps = swaps + 1, outgoing = ? WHERE name = ?'),
    tookOver: db.prepare('INSERT OR REPLACE INTO taken_over VALUES (?, ?, ?)'),
    forgetTakenOver: db.prepare('DELETE FROM taken_over WHERE projection = ?'),
    gone: db.prepare(
      `UPDATE parts SET phase = 'gone' WHERE projection = ? AND generation = ? AND partition = ?`,
    ),
    present: db.prepare(`SELECT count(*) AS parts FROM parts
      WHERE projection = ? AND generation = ? AND phase <> 'gone'`),
    forgetParts: db.prepare('DELETE FROM parts WHERE projection = ? AND generation = ?'),
    forgetGeneration: db.prepare(`DELETE FROM generations WHERE projection = ? AND generation = ?
      AND state IN ('cancelling', 'pruning')`),
    pause: db.prepare('UPDATE projections SET paused = ? WHERE name = ?'),
    fold: db.prepare('SELECT fold FROM folds WHERE projection = ? AND version = ?'),
    noteFold: db.prepare('INSERT OR REPLACE INTO folds VALUES (?, ?, ?)'),
  }
}
