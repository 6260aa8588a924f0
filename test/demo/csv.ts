/**
 * Reads CSV as RFC 4180 has it: the first record names the columns; a field in quotes may hold commas, line
 * breaks and, doubled, quotes. A byte order mark, CRLF and a missing last line break are fine.
 *
 * @returns one object per record, in the order of the file
 * @throws Error with the record's number if it has more or fewer fields than columns, or a quote stays open
 */
export function parseCsv(text: string): Record<string, string>[] {
  const [columns, ...records] = readRecords(text.replace(/^\uFEFF/, ''))
  if (!columns) return []
  return records.map((fields, index) => {
    if (fields.length !== columns.length) {
      throw new Error(`Record ${index + 1} has ${fields.length} fields; there are ${columns.length} columns.`)
    }
    return Object.fromEntries(columns.map((column, field) => [column, fields[field] ?? '']))
  })
}

/** One field, in quotes or bare, and what ends it; sticky, so that each match begins where the last ended. */
const FIELD = /(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r?\n|$)/y

function readRecords(text: string): string[][] {
  const records: string[][] = []
  let fields: string[] = []
  let start = 0
  while (start < text.length || fields.length > 0) {
    FIELD.lastIndex = start
    const match = FIELD.exec(text)
    if (!match) throw new Error(`Record ${records.length} has a quote that is out of place or stays open.`)
    const [whole, quoted, bare = '', end] = match
    fields.push(quoted === undefined ? bare : quoted.replaceAll('""', '"'))
    start += whole.length
    if (end !== ',') {
      records.push(fields)
      fields = []
    }
  }
  return records
}
