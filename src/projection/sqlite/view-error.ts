import { CqrsError, isCqrsError } from '../../kernel/errors.ts'
import { isBrokenJson, toStoreError } from '../../sqlite/errors.ts'

/**
 * The error with which a view's store failed. If the view is damaged, the error says how to get a sound one: nothing
 * has to be restored, since a view is made from the log. For other errors see {@link toStoreError}.
 */
export function toViewError(error: unknown, path: string, projection: string): unknown {
  // It has its code and advice already.
  if (error instanceof CqrsError) return error
  const failure = toStoreError(error, path)
  return isCqrsError(failure, 'CQRS_STORE_CORRUPT') ||
    // Failures of parked events, and given-up events, are stored as JSON without checksums.
    error instanceof SyntaxError ||
    isBrokenJson(error) ||
    error instanceof OtherRow ||
    error instanceof BrokenOrder
    ? damagedView(error as Error, path, projection)
    : failure
}

/** In a damaged page, SQLite has found the row of another key, or none, for a key that exists. */
export class OtherRow extends Error {
  /** @param table the table that was searched */
  constructor(table: string, key: string) {
    super(`a search in ${table} for ${JSON.stringify(key)} found another row, or none`)
  }
}

/**
 * In a damaged page, rows are out of order. This misleads searches, so that reading page by page misses rows or never
 * ends.
 */
export class BrokenOrder extends Error {
  constructor(table: string) {
    super(`the rows of ${table} are not in order`)
  }
}

/**
 * Passes rows on and checks that they are in order.
 *
 * @param table the table of the rows
 * @param last the number of the row before the first one
 * @param numberOf gives a row's number, which must grow from row to row
 * @throws BrokenOrder if it does not
 */
export function* inOrder<Row>(
  table: string,
  rows: Iterable<Row>,
  last: number,
  numberOf: (row: Row) => number,
): Generator<Row> {
  let before = last
  for (const row of rows) {
    const number = numberOf(row)
    if (!(number > before)) throw new BrokenOrder(table)
    before = number
    yield row
  }
}

/** The error for a damaged view; see ../damage.ts. */
export function damagedView(cause: Error, path: string, projection: string): CqrsError {
  return new CqrsError(
    'CQRS_STORE_CORRUPT',
    `The view ${projection} is damaged in ${path}: ${cause.message}. "cqrs rebuild ${projection}" rebuilds it from the ` +
      'log while the system runs.',
    { cause, details: { file: path, reason: cause.message } },
  )
}

/** The error for a view's file that belongs to something else. */
export function foreignView(message: string, path: string): CqrsError {
  return new CqrsError('CQRS_STORE_FOREIGN', message, { details: { file: path, reason: message } })
}
