import { stripVTControlCharacters } from 'node:util'

/** One column of a table. */
export interface Column<Row> {
  readonly title: string
  readonly align?: 'left' | 'right'
  cell(row: Row): string
}

/** Lays rows out in columns two blanks apart, under their titles. @returns lines without trailing blanks */
export function layOut<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ cell }) => cell(row))),
  ]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => visibleLength(line[index] ?? ''))))
  return cells.map((line) =>
    line
      .map((text, index) => {
        const blanks = ' '.repeat((widths[index] ?? 0) - visibleLength(text))
        return columns[index]?.align === 'right' ? blanks + text : text + blanks
      })
      .join('  ')
      .trimEnd(),
  )
}

/** `text` on one line of at most `width` characters, cut with an ellipsis. */
export function cut(text: string, width: number): string {
  const line = printable(text).replaceAll(/[\n\t]+/g, ' ')
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`
}

/** Without control characters: what events and errors carry must not steer the operator's terminal. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\p{Cf}]/gu, (character) =>
    character === '\n' || character === '\t' ? character : '\uFFFD',
  )
}

/** 1234567 as `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString('en')
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length
}
