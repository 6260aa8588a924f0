import { CqrsError, isCqrsError } from '../../kernel/errors.ts'
import { isSqliteError, toStoreError } from '../../sqlite/errors.ts'

/**
 * What a store of a view failed with. One that is damaged says how to get a whole one: nothing has to be restored, since
 * a view is made from the log. Any other error is returned as it is.
 */
export function toViewError(error: unknown, path: string, projection: string): unknown {
  // Has its code and advice already.
  if (error instanceof CqrsError) return error
  const failure = toStoreError(error, path)
  return isCqrsError(failure, 'CQRS_STORE_CORRUPT') ||
    isBrokenJson(error) ||
    error instanceof OtherRow ||
    error instanceof BrokenOrder
    ? damagedView(error as Error, path, projection)
    : failure
}

/** In a damaged page SQLite finds rows of other keys, or none, for a key that is there. */
export class OtherRow extends Error {
  /** @param table where it was looked for */
  constructor(table: string, key: string) {
    super(`what is found in ${table} for ${JSON.stringify(key)} is not that`)
  }
}

/** In a damaged page rows lie out of order. A search among them is misled, so that reading page by page leaves some out or never ends. */
export class BrokenOrder extends Error {
  constructor(table: string) {
    super(`the rows of ${table} are not in order`)
  }
}

/**
 * The same rows.
 *
 * @param table where they lie
 * @param last the number of the row before them
 * @param numberOf grows from row to row
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

/** Parked events and effects are stored as JSON without checksums; and SQLite reads that of documents when it indexes them. */
function isBrokenJson(error: unknown): boolean {
  return error instanceof SyntaxError || (isSqliteError(error) && error.message.includes('malformed JSON'))
}

/** The error that a view is damaged; see ../damage.ts. */
export function damagedView(cause: Error, path: string, projection: string): CqrsError {
  return new CqrsError(
    'CQRS_STORE_CORRUPT',
    `The view ${projection} is damaged in ${path}: ${cause.message}. "cqrs rebuild ${projection}" builds it anew from the ` +
      'log, while the system runs.',
    { cause, details: { file: path, reason: cause.message } },
  )
}

/** The error that the file of a view is that of something else. */
export function foreignView(message: string, path: string): CqrsError {
  return new CqrsError('CQRS_STORE_FOREIGN', message, { details: { file: path, reason: message } })
}
