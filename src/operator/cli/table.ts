import { stripVTControlCharacters } from 'node:util'
import { wrap } from './fit-text.ts'

/** One column of a table. */
export interface Column<Row> {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** Its texts are shortened if the terminal is too narrow. Not meant for names, numbers and times. */
  readonly shortens?: true
  cell(row: Row): string
}

/** Shortened texts keep at least this many characters. */
const SHORTEST = 16

/** Blanks between two columns. */
const GAP = 2

/** Indent of the parts of a row that do not fit on its first line, in blanks. */
const INDENT = 4

/**
 * Lays out rows in columns two blanks apart, under their titles. If they need more than `width` characters, titles
 * are broken into lines and texts are shortened. Columns that still do not fit go on the next line, indented: no
 * column is left out.
 *
 * @returns lines without trailing blanks
 */
export function layOut<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width = Number.POSITIVE_INFINITY,
): string[] {
  const measured = columns.map((column) => measure(column, rows))
  const bands = inBands(measured, width).map((band, index) => render(band, index > 0 ? INDENT : 0, width))
  return [
    ...bands.flatMap(({ titles }) => titles),
    ...rows.flatMap((_, row) => bands.map(({ lines }) => lines[row] ?? '')),
  ]
}

interface Measured {
  readonly title: string
  readonly align: 'left' | 'right'
  readonly shortens: boolean
  readonly cells: readonly string[]
  /** Width of its widest cell or of the longest word of its title, whichever is larger. */
  readonly widest: number
  /** The width that it needs at least, when it is shortened. */
  readonly least: number
}

function measure<Row>(column: Column<Row>, rows: readonly Row[]): Measured {
  const { title, align = 'left', shortens = false } = column
  const cells = rows.map((row) => column.cell(row))
  const word = Math.max(...title.split(' ').map(({ length }) => length))
  const widest = Math.max(word, ...cells.map(visibleLength))
  return {
    title,
    align,
    shortens,
    cells,
    widest,
    least: shortens ? Math.min(widest, Math.max(word, SHORTEST)) : widest,
  }
}

/**
 * Distributes the columns over lines: on each line as many as fit with their least width. A column that is wider than
 * the terminal gets a line of its own.
 */
function inBands(columns: readonly Measured[], width: number): Measured[][] {
  const bands: Measured[][] = [[]]
  let left = width
  for (const column of columns) {
    const band = bands.at(-1) ?? []
    if (band.length > 0 && column.least > left) {
      bands.push([column])
      left = width - INDENT - column.least - GAP
    } else {
      band.push(column)
      left -= column.least + GAP
    }
  }
  return bands
}

function render(
  band: readonly Measured[],
  indent: number,
  width: number,
): { titles: string[]; lines: string[] } {
  const room = width - indent - GAP * (band.length - 1)
  const whole = band.map(({ title, least }) => Math.max(title.length, least))
  const breaks = sum(whole) > room
  const widths = grow(band, breaks ? band.map(({ least }) => least) : whole, room)
  const line = (texts: readonly string[]) =>
    (
      ' '.repeat(indent) +
      band.map(({ align }, index) => pad(texts[index] ?? '', widths[index] ?? 0, align)).join(' '.repeat(GAP))
    ).trimEnd()
  const titles = band.map(({ title }, index) => (breaks ? wrap(title, widths[index] ?? 0) : [title]))
  const height = Math.max(...titles.map(({ length }) => length))
  return {
    titles: Array.from({ length: height }, (_, row) =>
      line(titles.map((parts) => parts[row - height + parts.length] ?? '')),
    ),
    lines: (band[0]?.cells ?? []).map((_, row) =>
      line(
        band.map(({ cells, shortens }, index) => shortened(cells[row] ?? '', shortens, widths[index] ?? 0)),
      ),
    ),
  }
}

/** Shares the remaining room evenly among the columns that are shortened. */
function grow(band: readonly Measured[], least: readonly number[], room: number): number[] {
  if (room === Number.POSITIVE_INFINITY)
    return band.map(({ widest }, index) => Math.max(widest, least[index] ?? 0))
  const widths = [...least]
  for (let left = room - sum(widths); left > 0; ) {
    const narrow = band.flatMap(({ widest }, index) => ((widths[index] ?? 0) < widest ? [index] : []))
    if (narrow.length === 0) break
    for (const index of narrow.slice(0, left)) widths[index] = (widths[index] ?? 0) + 1
    left -= Math.min(left, narrow.length)
  }
  return widths
}

function shortened(text: string, shortens: boolean, width: number): string {
  return shortens && text.length > width ? `${text.slice(0, width - 1)}…` : text
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const blanks = ' '.repeat(Math.max(0, width - visibleLength(text)))
  return align === 'right' ? blanks + text : text + blanks
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** `text` on one line. */
export function oneLine(text: string): string {
  return printable(text).replaceAll(/[\n\t]+/g, ' ')
}

/** `text` on one line of at most `width` characters, cut with an ellipsis. */
export function cut(text: string, width: number): string {
  return shortened(oneLine(text), true, Math.max(1, width))
}

/** Removes control characters: the contents of events and errors must not control the operator's terminal. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\p{Cf}]/gu, (character) =>
    character === '\n' || character === '\t' ? character : '\uFFFD',
  )
}

/** 1234567 as `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString('en')
}

/** Number of visible characters; colour codes do not count. */
export function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length
}
