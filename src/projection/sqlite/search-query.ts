import type { IndexValue, Search } from '../find.ts'

/** An SQL text and the values of its parameters. */
export interface SearchQuery {
  readonly sql: string
  readonly values: readonly (IndexValue | bigint)[]
}

/** The smallest value there is; only NULL comes before it in an index. */
const LEAST = '-9e999'

/**
 * The queries for a page by keyset: documents after the last one of the page before, in (value, key) order. Documents
 * that lack the indexed field are not found. If there are two queries, everything that the second one finds comes after
 * what the first one finds.
 *
 * Each query is written so that SQLite seeks its start in the index and reads on from there. With row values, with IS
 * NOT NULL on an expression, or if it sorted by a field that is the same in all rows, SQLite would read over everything
 * before a page, or sort everything that is found. test/projection/query-plan.test.ts checks its plans.
 *
 * @param field the indexed expression; undefined to search by the key
 */
export function searchQueries(search: Search, field: string | undefined): SearchQuery[] {
  return queriesOf(search, field).map(({ sql, values }) => ({ sql, values: values.map(asIndexed) }))
}

/**
 * A value as the index holds it. A whole number beyond 2^53 is written to JSON with the fewest digits that identify the
 * float. SQLite reads these digits as a 64-bit integer, which is not exactly the number that the float stands for.
 */
function asIndexed(value: IndexValue | bigint): IndexValue | bigint {
  if (typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value)) return value
  return Math.abs(value) < 2 ** 63 ? BigInt(String(value)) : value
}

function queriesOf(search: Search, field: string | undefined): SearchQuery[] {
  const { equals, after } = search
  if (field === undefined) {
    const beyondKey = after ? [[`key ${beyond(search)} ?`, after.key] as const] : []
    return [select('key', [...conditions('key', search), ...beyondKey], search, 'key')]
  }
  if (equals !== undefined) {
    const beyondKey = after ? [[`key ${beyond(search)} ?`, after.key] as const] : []
    return [select(field, [...conditions(field, search), ...beyondKey], search, 'key')]
  }
  if (!after) return [select(field, [...notNull(field, search), ...conditions(field, search)], search, field)]
  const range = conditions(field, search)
  const sameValue = [[`${field} = ?`, after.value], [`key ${beyond(search)} ?`, after.key], ...range] as const
  const further = [
    [`${field} ${beyond(search)} ?`, after.value],
    ...notNull(field, search),
    ...range,
  ] as const
  return [select(field, sameValue, search, 'key'), select(field, further, search, field)]
}

type Condition = readonly [sql: string, value?: IndexValue]

function conditions(field: string, { equals, from, to }: Search): Condition[] {
  return [
    ...(equals === undefined
      ? []
      : [[`${field} = ?`, typeof equals === 'boolean' ? Number(equals) : equals] as const]),
    ...(from === undefined ? [] : [[`${field} >= ?`, from] as const]),
    ...(to === undefined ? [] : [[`${field} <= ?`, to] as const]),
  ]
}

/** A lower bound that excludes NULL, unless the search has a lower bound already. */
function notNull(field: string, { from, after, order = 'ascending' }: Search): Condition[] {
  const hasLowerEnd = from !== undefined || (after !== undefined && order === 'ascending')
  return hasLowerEnd ? [] : [[`${field} >= ${LEAST}`]]
}

function select(
  field: string,
  conditions: readonly Condition[],
  search: Search,
  sorted: string,
): SearchQuery {
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.map(([sql]) => sql).join(' AND ')}`
  const sql = `SELECT key, ${field} AS value, document, checksum FROM documents${where} ORDER BY ${order(sorted, search)} LIMIT ?`
  return { sql, values: [...conditions.flatMap(([, value]) => value ?? []), search.limit] }
}

function beyond({ order = 'ascending' }: Search): '>' | '<' {
  return order === 'ascending' ? '>' : '<'
}

function order(field: string, { order = 'ascending' }: Search): string {
  const direction = order === 'ascending' ? 'ASC' : 'DESC'
  return field === 'key' ? `key ${direction}` : `${field} ${direction}, key ${direction}`
}
