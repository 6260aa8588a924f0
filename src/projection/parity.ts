import { hash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { parseJson } from '../kernel/json.ts'
import type { Position } from '../kernel/position.ts'
import type { ViewDamage } from './damage.ts'

/** How many documents a report names at most; the counts include all. */
const EXAMPLES = 20

/**
 * How many characters of JSON an example shows of a document at most. A report is always read as a whole, so it must
 * stay small.
 */
const SHOWN = 4_096

/** How many of these characters come before the first difference. */
const LEAD = 64

/** A document as its store holds it. */
export interface StoredDocument {
  readonly key: string
  /** JSON; of a damaged document whatever is there. */
  readonly document: string
  /** Whether it differs from what was written. */
  readonly damaged: boolean
}

/** One state of a view, all its partitions together. */
export interface ViewSnapshot {
  /** The position of each partition, in order. */
  readonly positions: readonly Position[]
  /** Each document once, in the order of the keys' bytes in UTF-8. */
  readonly documents: Iterable<StoredDocument>
  readonly parked?: ParkedSide | undefined
}

/** What a state of a view lacks, because it could not be applied. */
export interface ParkedSide {
  /** How many events are parked; those that wait behind others count, too. */
  readonly events: number
  /** Why the first of them failed. */
  readonly error: string
}

/** One document that is not the same in both. */
export interface ParityExample {
  readonly key: string
  readonly kind: 'added' | 'changed' | 'removed'
  readonly before?: unknown
  readonly after?: unknown
  /**
   * Set if the documents are too large to be shown. Then `before` and `after` are excerpts of their JSON around the
   * first difference.
   */
  readonly cut?: true
  /** The document before is not what was written: its checksum differs. */
  readonly damaged?: true
}

/** How a generation compares with the one that serves. */
export type ParityReport = Comparison | DamageReport

/** The report if both generations could be read from beginning to end. */
export interface Comparison {
  readonly kind: 'compared'
  /** Whether both were at the same position. If so, every difference comes from the folds or from the files. */
  readonly samePosition: boolean
  readonly before: Side
  readonly after: Side
  readonly added: number
  readonly changed: number
  readonly removed: number
  /** Documents of the serving generation that are not what was written. They also count as changed or removed. */
  readonly damaged: number
  /** The first {@link EXAMPLES} in the order of keys. */
  readonly examples: readonly ParityExample[]
}

/** Which of two generations: the one that serves, or the one that is to take its place. */
export type SideName = 'before' | 'after'

/**
 * The report if a file of one generation is damaged, so that there is nothing to compare. Nobody need look again, since
 * the damage stays. If both are damaged, the report is about the side `after`.
 */
export type DamageReport = ViewDamage & {
  readonly kind: 'damaged'
} & (
    | { readonly side: 'after' }
    | {
        readonly side: 'before'
        /** Whether one can still read what the log does not hold: effects not sent yet, and what operators gave up. */
        readonly estateIsWhole: boolean
      }
  )

interface Side {
  /** The position of the partition that is furthest behind. */
  readonly position: Position
  readonly documents: number
  /** SHA-256 over the keys and documents in order, hexadecimal; the same if and only if all documents are. */
  readonly hash: string
  /** Left out if nothing is parked. */
  readonly parked?: ParkedSide
}

/**
 * The conclusion from a report:
 * - `same`: every document is the same and undamaged, and both were at one position
 * - `inconclusive`: nothing can be said, because both never were at one position, so that differences may come from the
 *   events in between
 * - `differs`: everything else; damage counts as a difference at any position
 */
export type ParityVerdict = 'same' | 'differs' | 'inconclusive'

/** Judges a report. This is the only place that does. */
export function parityVerdict(report: ParityReport): ParityVerdict {
  if (report.kind === 'damaged' || report.damaged > 0) return 'differs'
  if (!report.samePosition) return 'inconclusive'
  return report.added + report.changed + report.removed === 0 ? 'same' : 'differs'
}

/** Reads a stored report. Earlier versions of this program did not record damage. */
export function toParityReport(stored: unknown): ParityReport {
  return { kind: 'compared', damaged: 0, ...(stored as Partial<ParityReport>) } as ParityReport
}

/**
 * Compares two states of a view document by document, holding two documents at a time. Documents are the
 * same if they are the same JSON, whatever the order of their fields, and both are what was written.
 */
export function compareViews(before: ViewSnapshot, after: ViewSnapshot): Comparison {
  const counts = { added: 0, changed: 0, removed: 0, damaged: 0 }
  const examples: ParityExample[] = []
  const note = (kind: ParityExample['kind'], one?: StoredDocument, other?: StoredDocument) => {
    counts[kind] += 1
    if (one?.damaged) counts.damaged += 1
    if (examples.length === EXAMPLES) return
    const key = (one ?? other)?.key as string
    examples.push({
      key,
      kind,
      ...shown(one, other),
      ...(one?.damaged && { damaged: true }),
    })
  }
  const [left, right] = [new Walk(before), new Walk(after)]
  while (left.current || right.current) {
    const order = compareKeys(left.current, right.current)
    if (order === 0 && !isSame(left.current as StoredDocument, right.current as StoredDocument)) {
      note('changed', left.current, right.current)
    } else if (order < 0) note('removed', left.current)
    else if (order > 0) note('added', undefined, right.current)
    if (order <= 0) left.next()
    if (order >= 0) right.next()
  }
  return {
    kind: 'compared',
    samePosition: areAtOnePosition(before.positions, after.positions),
    before: left.side(),
    after: right.side(),
    ...counts,
    examples,
  }
}

/**
 * Whether two states of a view hold the same events: each partition is at the same position as its counterpart or, if
 * their numbers of partitions differ, all partitions are at one position.
 */
export function areAtOnePosition(before: readonly Position[], after: readonly Position[]): boolean {
  if (before.length === after.length) return before.every((position, index) => position === after[index])
  return new Set([...before, ...after]).size === 1
}

/** Merges the documents of several partitions, each in order, into one sequence in order. */
export function* mergeDocuments(parts: readonly Iterable<StoredDocument>[]): Generator<StoredDocument> {
  const iterators = parts.map((part) => part[Symbol.iterator]())
  const heads = iterators.map((iterator) => iterator.next().value as StoredDocument | undefined)
  for (;;) {
    let first = -1
    for (const [index, head] of heads.entries()) {
      if (head && (first < 0 || compareKeys(head, heads[first]) < 0)) first = index
    }
    if (first < 0) return
    yield heads[first] as StoredDocument
    heads[first] = iterators[first]?.next().value as StoredDocument | undefined
  }
}

/** One side of a comparison, document by document. */
class Walk {
  readonly #position: Position
  readonly #iterator: Iterator<StoredDocument>
  readonly #parked: ParkedSide | undefined
  #documents = 0
  #hash = ''
  #pending = ''
  current: StoredDocument | undefined

  constructor({ positions, documents, parked }: ViewSnapshot) {
    this.#position = Math.min(...positions)
    this.#parked = parked
    this.#iterator = documents[Symbol.iterator]()
    this.next()
  }

  next(): void {
    this.current = this.#iterator.next().value as StoredDocument | undefined
    if (!this.current) return
    this.#documents += 1
    this.#pending += `${JSON.stringify(this.current.key)}:${sorted(this.current)}\n`
    if (this.#pending.length > 65_536) this.#fold()
  }

  side(): Side {
    this.#fold()
    const parked = this.#parked && { parked: this.#parked }
    return { position: this.#position, documents: this.#documents, hash: this.#hash, ...parked }
  }

  /** Pieces are cut by size, so the same documents always give the same pieces. */
  #fold(): void {
    this.#hash = hash('sha256', `${this.#hash}${this.#pending}`)
    this.#pending = ''
  }
}

/** What an example shows of a document, as it was and as it is. */
function shown(
  one: StoredDocument | undefined,
  other: StoredDocument | undefined,
): Pick<ParityExample, 'before' | 'after' | 'cut'> {
  const [before, after] = [one && sorted(one), other && sorted(other)]
  if (Math.max(before?.length ?? 0, after?.length ?? 0) <= SHOWN) {
    return { ...(one && { before: parsed(one) }), ...(other && { after: parsed(other) }) }
  }
  const from = Math.max(0, firstDifference(before ?? '', after ?? '') - LEAD)
  return {
    ...(before !== undefined && { before: stretch(before, from) }),
    ...(after !== undefined && { after: stretch(after, from) }),
    cut: true,
  }
}

function firstDifference(one: string, other: string): number {
  const end = Math.min(one.length, other.length)
  for (let at = 0; at < end; at += 1) if (one[at] !== other[at]) return at
  return end
}

function stretch(json: string, from: number): string {
  const text = json.slice(from, from + SHOWN)
  const end = from + text.length < json.length ? '…' : ''
  return `${from > 0 ? '…' : ''}${text}${end} (${json.length} characters)`
}

function isSame(one: StoredDocument, other: StoredDocument): boolean {
  if (one.damaged) return false
  return one.document === other.document || isDeepStrictEqual(parsed(one), parsed(other))
}

/** A damaged document might no longer be JSON; then its text is returned as it is. */
function parsed({ document, damaged }: StoredDocument): unknown {
  try {
    return parseJson(document)
  } catch (error) {
    if (damaged) return document
    throw error
  }
}

function sorted(document: StoredDocument): string {
  return JSON.stringify(parsed(document), (_, value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
      : value,
  )
}

/** By the bytes in UTF-8, as SQLite orders keys; a missing document comes last. */
function compareKeys(one: StoredDocument | undefined, other: StoredDocument | undefined): number {
  if (!one) return 1
  if (!other) return -1
  if (one.key === other.key) return 0
  return Buffer.compare(Buffer.from(one.key), Buffer.from(other.key))
}
