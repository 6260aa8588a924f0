import { expect, test } from 'vitest'
import { foldLines } from './fold.ts'
import { type OrderLine, readOrderLines, toOrderLine, toProducts } from './superstore.ts'

const line = (sku: string, quantity: number, totalCents: number): OrderLine => ({
  row: '1',
  sku,
  name: `Product ${sku}`,
  category: 'Furniture',
  quantity,
  totalCents,
  listPriceCents: 100,
})

test('a line has its amount and the price before discount in whole cents', () => {
  const record = {
    'Row ID': '7',
    'Product ID': 'A-1',
    'Product Name': 'Lamp ',
    Category: 'Furniture',
    Sales: '15.525',
    Quantity: '3',
    Discount: '0.2',
  }
  expect(toOrderLine(record)).toEqual({
    row: '7',
    sku: 'A-1',
    name: 'Lamp',
    category: 'Furniture',
    quantity: 3,
    totalCents: 1553,
    listPriceCents: 647,
  })
  expect(() => toOrderLine({ ...record, Sales: 'n/a' })).toThrow('Line 7: Sales is no number')
})

test('a product starts with nine tenths of the units that its lines sell', () => {
  const [product] = toProducts([line('A', 8, 1), line('A', 7, 1)])
  expect(product).toMatchObject({ sku: 'A', initialStock: 13, lowStockThreshold: 2 })
})

test('a line that finds too little stock is refused; a smaller one after it is sold', () => {
  const lines = [line('A', 5, 500), line('A', 4, 400), line('A', 3, 299), line('B', 1, 1000)]
  const expected = foldLines(toProducts(lines), lines)
  // A starts with 10: 5 and 4 are sold, 3 are refused. B starts with none.
  expect(expected.products.get('A')).toEqual({
    name: 'Product A',
    stock: 1,
    unitsSold: 9,
    revenueCents: 900,
  })
  expect(expected).toMatchObject({
    accepted: 2,
    refused: 2,
    totals: { items: 2, unitsInStock: 1, unitsSold: 9, sales: 2, revenueCents: 900 },
  })
  expect([...expected.alerts].sort()).toEqual(['A', 'B'])
})

test('the file has 9,994 lines of 1,862 products', () => {
  const lines = readOrderLines()
  expect(lines).toHaveLength(9_994)
  expect(toProducts(lines)).toHaveLength(1_862)
  expect(toProducts(readOrderLines(10))).toHaveLength(10)
})
