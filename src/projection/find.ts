import { CqrsError } from '../kernel/errors.ts'
import { QUERY_CHARACTERS } from '../kernel/json-size.ts'
import type { FindOptions, Page } from '../kernel/query.ts'

/** What an index holds. */
export type IndexValue = string | number

/** A document that was found, and the value by which it was found. */
export interface FoundDocument {
  readonly key: string
  /** The value of the field that is searched by; the key if the search is by key. */
  readonly value: IndexValue
  readonly document: unknown
  /** Characters of its JSON. */
  readonly characters: number
}

/** What a part of a view is asked for: the next documents in the order of (value, key). */
export interface Search extends Omit<FindOptions, 'cursor'> {
  /** The last document of the page before. */
  readonly after: Pick<FoundDocument, 'key' | 'value'> | undefined
  /** Reading ends when the documents have more characters of JSON than this, but not before the second one. */
  readonly characters: number
}

/** A view, or a partition of one. */
export interface Searchable {
  search(search: Search): Promise<readonly FoundDocument[]>
}

/**
 * Finds a page of documents in all parts of a view: each part gives its next documents, and these are merged. The
 * cursor names the last document of the page, so it means the same in every part.
 *
 * The page ends early if its documents would otherwise have more than `characters` characters of JSON. It has at least
 * one document, unless none is found.
 *
 * @throws CqrsError CQRS_VALIDATION if the cursor is not one of this query; CQRS_APP_INVALID if two parts have a
 *   document of the same key
 */
export async function findPage(
  parts: readonly Searchable[],
  { cursor, ...options }: FindOptions,
  characters: number = QUERY_CHARACTERS,
): Promise<Page<unknown>> {
  const { by, limit, order = 'ascending' } = options
  const after = cursor === undefined ? undefined : decodeCursor(cursor, by)
  const search = { ...options, limit: limit + 1, after, characters }
  const found = (await Promise.all(parts.map((part) => part.search(search)))).flat()
  const sign = order === 'ascending' ? 1 : -1
  if (parts.length > 1) found.sort((left, right) => sign * compare(left, right))
  const page = found.slice(0, Math.min(limit, fitting(found, characters)))
  page.reduce<FoundDocument | undefined>((before, one) => {
    if (before?.key === one.key) throw keyInTwoPartitions(one.key)
    return one
  }, undefined)
  const last = found.length > page.length ? page.at(-1) : undefined
  return { items: page.map(({ document }) => document), next: last && encodeCursor(by, last.value, last.key) }
}

/**
 * How many of the first documents fit into one page, at least one. A part that stopped reading early has returned more
 * characters than fit into a page. So its last documents are not counted here, and all that are counted come before
 * those that it did not read.
 */
function fitting(found: readonly FoundDocument[], characters: number): number {
  let sum = 0
  const beyond = found.findIndex((one, index) => {
    sum += one.characters
    return index > 0 && sum > characters
  })
  return beyond === -1 ? found.length : beyond
}

/** The error for a document that is made from events of several streams: a partitioned projection cannot have one. */
export function keyInTwoPartitions(key: string): CqrsError {
  return new CqrsError(
    'CQRS_APP_INVALID',
    `Two partitions have a document "${key}": its events come from more than one stream. Give the projection one ` +
      'partition, or make each document from the events of one stream only.',
  )
}

/** As a store orders (value, key): numbers before text, text by its bytes in UTF-8. */
function compare(left: FoundDocument, right: FoundDocument): number {
  return compareValues(left.value, right.value) || compareValues(left.key, right.key)
}

function compareValues(left: IndexValue, right: IndexValue): number {
  if (typeof left === 'number' && typeof right === 'number') return left - right
  if (typeof left === 'number') return -1
  if (typeof right === 'number') return 1
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}

function encodeCursor(by: string | undefined, value: IndexValue, key: string): string {
  return Buffer.from(JSON.stringify([by ?? null, value, key])).toString('base64url')
}

function decodeCursor(cursor: string, by: string | undefined): { value: IndexValue; key: string } {
  try {
    const [field, value, key] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    const fits = field === (by ?? null) && typeof key === 'string'
    if (fits && (typeof value === 'string' || typeof value === 'number')) return { value, key }
  } catch {
    // Not a cursor at all: the same answer as for one of another query.
  }
  throw new CqrsError(
    'CQRS_VALIDATION',
    'The cursor does not belong to this query: use "next" of the page before.',
  )
}
