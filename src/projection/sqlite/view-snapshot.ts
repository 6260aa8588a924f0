import type { DatabaseSync } from 'node:sqlite'
import { quickCheck } from '../../sqlite/quick-check.ts'
import { atOneMoment } from '../../sqlite/transaction.ts'
import type { FailedAttempt } from '../contract.ts'
import { damageOf, type ViewDamage } from '../damage.ts'
import {
  areAtOnePosition,
  compareViews,
  mergeDocuments,
  type ParityReport,
  type ParkedSide,
  type SideName,
  type StoredDocument,
  type ViewSnapshot,
} from '../parity.ts'
import { EffectTable } from './effect-table.ts'
import { HandoverTables } from './handover-tables.ts'
import { openView, withView } from './open-view.ts'
import { type DocumentRow, documentChecksum } from './rows.ts'
import { damagedView, toViewError } from './view-error.ts'

/** How often two advancing views are looked at, at most, until both are at the same position. */
const LOOKS = 400

/** The pause between two looks, in milliseconds. */
const PAUSE_MS = 5

/** How many events are parked, and the failures of the first one that does not wait behind another. */
const COUNT_PARKED = `SELECT count(*) AS events,
  (SELECT failures FROM parked WHERE status <> 'waiting' ORDER BY position LIMIT 1) AS failures FROM parked`

/** One of the two generations: its side, and the files of its partitions. */
interface ViewFiles {
  readonly side: SideName
  readonly projection: string
  readonly paths: readonly string[]
}

/**
 * Compares two generations of a view, each given by the files of its partitions in order. Their owners may go on
 * advancing them. Of each, the state at one moment is read; if possible, one at which both are at the same position.
 * Every page of both is read. A damaged file gives a report, not an error, since another try would find it damaged
 * again. Blocks the thread.
 *
 * @param projection its name
 * @param looks how often to look at most, 5 ms apart, until both are at the same position
 * @throws CqrsError CQRS_STORE_… if a file cannot be read at the moment
 */
export function compareSqliteViews(
  projection: string,
  before: readonly string[],
  after: readonly string[],
  looks = LOOKS,
): ParityReport {
  try {
    return opened(projection, { before, after }, (serving, incoming) => {
      incoming.check()
      serving.check()
      const [one, other] = atOnePosition(serving, incoming, looks)
      return compareViews(serving.snapshot(one), incoming.snapshot(other))
    })
  } catch (error) {
    if (!(error instanceof Damage)) throw error
    return reportOf(error, projection, before, after)
  }
}

/**
 * The report on damage. If the serving generation is damaged, there is nothing to compare the incoming one with. But
 * that one has to be whole all the same, so it is read completely.
 */
function reportOf(
  { side, damage }: Damage,
  projection: string,
  before: readonly string[],
  after: readonly string[],
): ParityReport {
  if (side === 'after') return { kind: 'damaged', side, ...damage }
  try {
    opened(projection, { before: [], after }, (_, incoming) => {
      incoming.check()
      for (const _ of incoming.snapshot([]).documents);
    })
  } catch (error) {
    if (!(error instanceof Damage)) throw error
    return { kind: 'damaged', side: 'after', ...error.damage }
  }
  return { kind: 'damaged', side, ...damage, estateIsWhole: hasWholeEstate(projection, before) }
}

function opened<Result>(
  projection: string,
  paths: { readonly before: readonly string[]; readonly after: readonly string[] },
  read: (serving: SideView, incoming: SideView) => Result,
): Result {
  const serving = new SideView({ side: 'before', projection, paths: paths.before })
  const incoming = new SideView({ side: 'after', projection, paths: paths.after })
  try {
    incoming.open()
    serving.open()
    return read(serving, incoming)
  } finally {
    serving.close()
    incoming.close()
  }
}

/** Begins to read both, each as it is at one moment. @returns their positions */
function atOnePosition(before: SideView, after: SideView, looks: number): readonly [number[], number[]] {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let look = 1; ; look += 1) {
    const positions = [before.begin(), after.begin()] as const
    if (look >= looks || areAtOnePosition(...positions)) return positions
    before.end()
    after.end()
    Atomics.wait(pause, 0, 0, PAUSE_MS)
  }
}

/** A file of one side is damaged. */
class Damage extends Error {
  readonly side: SideName
  readonly damage: ViewDamage

  constructor(side: SideName, damage: ViewDamage) {
    super(damage.reason)
    this.side = side
    this.damage = damage
  }
}

/** One of the two generations. Damage in it is thrown as {@link Damage}. */
class SideView {
  readonly #files: ViewFiles
  readonly #parts: { readonly path: string; readonly db: DatabaseSync }[] = []

  constructor(files: ViewFiles) {
    this.#files = files
  }

  open(): void {
    const { projection, paths } = this.#files
    for (const path of paths) {
      this.#read(path, () => this.#parts.push({ path, db: openView(path, projection, { readOnly: true }) }))
    }
  }

  /** From here on, each part is read as it is now. @returns the positions of the parts */
  begin(): number[] {
    return this.#parts.map(({ path, db }) =>
      this.#read(path, () => {
        db.exec('BEGIN')
        return Number(db.prepare('SELECT position FROM checkpoint').get()?.position ?? 0)
      }),
    )
  }

  end(): void {
    for (const { db } of this.#parts) db.exec('ROLLBACK')
  }

  /**
   * Reads every page, and everything that a successor would take over. Reading only the documents would miss, for
   * example, a page of an index.
   */
  check(): void {
    for (const { path, db } of this.#parts) {
      this.#read(path, () => {
        const found = quickCheck(db)
        if (found) throw damagedView(new Error(found), path, this.#files.projection)
        checkEstate(db)
      })
    }
  }

  snapshot(positions: readonly number[]): ViewSnapshot {
    return {
      positions,
      documents: mergeDocuments(this.#parts.map(({ path, db }) => this.#documents(path, db))),
      parked: this.#parked(),
    }
  }

  #parked(): ParkedSide | undefined {
    const parts = this.#parts.map(({ path, db }) =>
      this.#read(
        path,
        () => db.prepare(COUNT_PARKED).get() as unknown as { events: number; failures: string | null },
      ),
    )
    const events = parts.reduce((sum, part) => sum + part.events, 0)
    if (events === 0) return undefined
    const failures: FailedAttempt[] = JSON.parse(
      parts.find((part) => part.failures !== null)?.failures ?? '[]',
    )
    return { events, error: failures.at(-1)?.message ?? '' }
  }

  close(): void {
    for (const { db } of this.#parts) db.close()
  }

  *#documents(path: string, db: DatabaseSync): Generator<StoredDocument> {
    const rows = this.#read(path, () =>
      db.prepare('SELECT key, document, checksum FROM documents ORDER BY key').iterate(),
    )
    for (;;) {
      const { done, value } = this.#read(path, () => rows.next())
      if (done) return
      yield this.#read(path, () => this.#toStored(value as unknown as DocumentRow, path))
    }
  }

  #toStored({ key, document, checksum }: DocumentRow, path: string): StoredDocument {
    const damaged = checksum !== documentChecksum(key, document)
    if (!damaged || this.#files.side === 'before') return { key, document, damaged }
    const cause = new Error(`the checksum of the document ${JSON.stringify(key)} differs`)
    throw damagedView(cause, path, this.#files.projection)
  }

  #read<Result>(path: string, read: () => Result): Result {
    try {
      return read()
    } catch (error) {
      const failure = toViewError(error, path, this.#files.projection)
      const damage = damageOf(failure)
      throw damage ? new Damage(this.#files.side, damage) : failure
    }
  }
}

function hasWholeEstate(projection: string, paths: readonly string[]): boolean {
  return paths.every((path) => {
    try {
      withView(path, projection, { readOnly: true }, checkEstate)
      return true
    } catch {
      return false
    }
  })
}

/**
 * Reads all that a generation leaves to its successor, so that any damage is found, as it is at one moment: its owner goes
 * on meanwhile, and effects that it records between two reads must not be taken for rows that a damaged page hid. See
 * ../duty.ts.
 */
function checkEstate(db: DatabaseSync): void {
  const effects = new EffectTable(db)
  const handover = new HandoverTables(db, effects)
  atOneMoment(db, () => {
    effects.check()
    handover.check()
  })
}
