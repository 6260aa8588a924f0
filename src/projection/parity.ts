import { hash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { parseJson } from '../kernel/json.ts'
import type { Position } from '../kernel/position.ts'
import type { ViewDamage } from './damage.ts'

/** Documents that are named in a report; the counts go on. */
const EXAMPLES = 20

/** Characters of JSON that an example shows of a document. A report is read as a whole, each time that somebody looks. */
const SHOWN = 4_096

/** Of those, how many come before the first difference. */
const LEAD = 64

/** A document as its store holds it. */
export interface StoredDocument {
  readonly key: string
  /** JSON; of a damaged document whatever is there. */
  readonly document: string
  /** It is not what was written. */
  readonly damaged: boolean
}

/** One state of a view, all its partitions together. */
export interface ViewSnapshot {
  /** Of each partition, in order. */
  readonly positions: readonly Position[]
  /** Each document once, in the order of the keys' bytes in UTF-8. */
  readonly documents: Iterable<StoredDocument>
}

/** One document that is not the same in both. */
export interface ParityExample {
  readonly key: string
  readonly kind: 'added' | 'changed' | 'removed'
  readonly before?: unknown
  readonly after?: unknown
  /** They are too large to be shown as they are: `before` and `after` are stretches of their JSON about where they differ first. */
  readonly cut?: true
  /** What was there before is not what was written: its checksum differs. */
  readonly damaged?: true
}

/** How a generation compares with the one that serves. */
export type ParityReport = Comparison | DamageReport

/** Both could be read from beginning to end. */
export interface Comparison {
  readonly kind: 'compared'
  /** Both stood at the same position, so that every difference is one of the folds, or of the files. */
  readonly samePosition: boolean
  readonly before: Side
  readonly after: Side
  readonly added: number
  readonly changed: number
  readonly removed: number
  /** Documents of the one that serves that are not what was written; they count as changed, or removed. */
  readonly damaged: number
  /** The first {@link EXAMPLES} in the order of keys. */
  readonly examples: readonly ParityExample[]
}

/** Which of two generations: the one that serves, or the one that is to take its place. */
export type SideName = 'before' | 'after'

/**
 * A file of one of them is damaged, so that there is nothing to compare. Nobody need look again: it is damaged for good.
 * If both are, it tells of the side `after`.
 */
export type DamageReport = ViewDamage & {
  readonly kind: 'damaged'
} & (
    | { readonly side: 'after' }
    | {
        readonly side: 'before'
        /** What no log has can be read nevertheless: effects that are not sent yet, and what operators gave up. */
        readonly estateIsWhole: boolean
      }
  )

interface Side {
  /** Of the partition that is least far. */
  readonly position: Position
  readonly documents: number
  /** SHA-256 over the keys and documents in order, hexadecimal; the same if and only if all documents are. */
  readonly hash: string
}

/**
 * What a report comes to. `same`: every document is, and whole, and both stood at one position. `inconclusive`: nothing can be
 * said, because both never stood at one position, so that differences may be those of the events between. `differs`:
 * everything else; what is damaged differs wherever they stand.
 */
export type ParityVerdict = 'same' | 'differs' | 'inconclusive'

/** Judges a report; nobody else does. */
export function parityVerdict(report: ParityReport): ParityVerdict {
  if (report.kind === 'damaged' || report.damaged > 0) return 'differs'
  if (!report.samePosition) return 'inconclusive'
  return report.added + report.changed + report.removed === 0 ? 'same' : 'differs'
}

/** A report as it was stored. Earlier versions of this program knew no damage. */
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

/** Whether two states of a view hold the same events: each partition does, or all stand at one position. */
export function areAtOnePosition(before: readonly Position[], after: readonly Position[]): boolean {
  if (before.length === after.length) return before.every((position, index) => position === after[index])
  return new Set([...before, ...after]).size === 1
}

/** Joins the documents of several partitions, each in order, to one run in order. */
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
  #documents = 0
  #hash = ''
  #pending = ''
  current: StoredDocument | undefined

  constructor({ positions, documents }: ViewSnapshot) {
    this.#position = Math.min(...positions)
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
    return { position: this.#position, documents: this.#documents, hash: this.#hash }
  }

  /** Pieces are cut by their size, which the same documents give the same. */
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

/** A damaged document may be no JSON any more; then it is the text that it is. */
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

/** By the bytes in UTF-8, as SQLite orders keys; the one that is not there comes last. */
function compareKeys(one: StoredDocument | undefined, other: StoredDocument | undefined): number {
  if (!one) return 1
  if (!other) return -1
  if (one.key === other.key) return 0
  return Buffer.compare(Buffer.from(one.key), Buffer.from(other.key))
}
