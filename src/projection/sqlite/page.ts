/**
 * The first rows: at most `limit`, and none after the one with which they reach `maxBytes`. The rest is not read.
 *
 * @param rows each with its size in `bytes`
 */
export function firstRows<Row extends { readonly bytes?: unknown }>(
  rows: Iterable<Row>,
  limit: number,
  maxBytes: number,
): Row[] {
  const page: Row[] = []
  let bytes = 0
  for (const row of rows) {
    page.push(row)
    bytes += Number(row.bytes)
    if (page.length >= limit || bytes >= maxBytes) break
  }
  return page
}
