import { expect, test } from 'vitest'
import { inventoryItem } from '../../src/inventory/item.ts'
import { given } from '../../src/kernel/testing.ts'

const added = {
  type: 'inventory-item-added',
  data: {
    sku: 'A-1',
    name: 'Lamp',
    category: 'light',
    priceCents: 1_250,
    quantity: 10,
    lowStockThreshold: 2,
  },
} as const
const discontinued = { type: 'inventory-item-discontinued', data: { sku: 'A-1' } } as const

test('an item is added with what was left out filled in', () => {
  given(inventoryItem)
    .when('add-inventory-item', { sku: 'A-1', name: 'Lamp', priceCents: 1_250 } as never)
    .thenEvents({
      type: 'inventory-item-added',
      data: {
        sku: 'A-1',
        name: 'Lamp',
        category: 'uncategorised',
        priceCents: 1_250,
        quantity: 0,
        lowStockThreshold: 5,
      },
    })
})

test('a SKU is added once', () => {
  given(inventoryItem, added).when('add-inventory-item', added.data).thenRejected('duplicate_sku')
})

test('a sale takes units and costs price times quantity', () => {
  given(inventoryItem, added)
    .when('sell-item', { sku: 'A-1', quantity: 3 })
    .thenEvents({ type: 'inventory-item-sold', data: { sku: 'A-1', quantity: 3, totalCents: 3_750 } })
})

test('a sale at its own amount keeps the amount', () => {
  given(inventoryItem, added)
    .when('sell-item', { sku: 'A-1', quantity: 3, totalCents: 999 })
    .thenEvents({ type: 'inventory-item-sold', data: { sku: 'A-1', quantity: 3, totalCents: 999 } })
})

test('a sale whose price times quantity no event can hold is rejected, and not an error of the app', () => {
  const precious = { ...added, data: { ...added.data, priceCents: 100_000_000_000 } }
  given(inventoryItem, precious).when('sell-item', { sku: 'A-1', quantity: 2 }).thenRejected('total_too_high')
})

test('no more is sold than is in stock', () => {
  const sold = { type: 'inventory-item-sold', data: { sku: 'A-1', quantity: 8, totalCents: 1 } } as const
  const rejection = given(inventoryItem, added, sold)
    .when('sell-item', { sku: 'A-1', quantity: 3 })
    .thenRejected('insufficient_stock')
  expect(rejection.details).toEqual({ available: 2 })
})

test('what was restocked can be sold', () => {
  const restocked = { type: 'inventory-item-restocked', data: { sku: 'A-1', quantity: 5 } } as const
  given(inventoryItem, added, restocked)
    .when('sell-item', { sku: 'A-1', quantity: 15 })
    .thenEvents({ type: 'inventory-item-sold', data: { sku: 'A-1', quantity: 15, totalCents: 18_750 } })
})

test('a new price is recorded with the old one; the same price is no event', () => {
  given(inventoryItem, added)
    .when('adjust-price', { sku: 'A-1', priceCents: 1_300 })
    .thenEvents({
      type: 'inventory-price-adjusted',
      data: { sku: 'A-1', priceCents: 1_300, previousPriceCents: 1_250 },
    })
  given(inventoryItem, added).when('adjust-price', { sku: 'A-1', priceCents: 1_250 }).thenEvents()
})

test.each(['sell-item', 'restock-item', 'adjust-price', 'discontinue-item'] as const)(
  '%s of an unknown item is not found, of a discontinued one a conflict',
  (command) => {
    const input = {
      'sell-item': { sku: 'A-1', quantity: 1 },
      'restock-item': { sku: 'A-1', quantity: 1 },
      'adjust-price': { sku: 'A-1', priceCents: 5 },
      'discontinue-item': { sku: 'A-1' },
    }[command] as never
    expect(given(inventoryItem).when(command, input).thenRejected('unknown_item').reason).toBe('not-found')
    expect(
      given(inventoryItem, added, discontinued).when(command, input).thenRejected('item_discontinued').reason,
    ).toBe('conflict')
  },
)

const refused: [string, Record<string, unknown>][] = [
  ['a negative quantity', { sku: 'A-1', quantity: -1 }],
  ['a fraction', { sku: 'A-1', quantity: 1.5 }],
  ['a quantity as text', { sku: 'A-1', quantity: '1' }],
  ['a number beyond 2^53', { sku: 'A-1', quantity: 2 ** 53 + 2 }],
  ['an unknown key', { sku: 'A-1', quantity: 1, color: 'red' }],
  ['a __proto__ key', JSON.parse('{"sku":"A-1","quantity":1,"__proto__":{"admin":true}}')],
  ['an empty SKU', { sku: '', quantity: 1 }],
  ['a SKU of 10,000 characters', { sku: 'x'.repeat(10_000), quantity: 1 }],
  ['a SKU with a control character', { sku: 'A\u0000', quantity: 1 }],
  ['a SKU with half a surrogate pair', { sku: '\ud800', quantity: 1 }],
  ['a SKU with a blank at its end', { sku: 'A ', quantity: 1 }],
]
test.each(refused)('%s is refused', (_, input) => {
  expect(inventoryItem.commands['sell-item'].schema.safeParse(input).success).toBe(false)
})

test('slashes and any script make a SKU; two spellings of one Unicode text are the same SKU', () => {
  const { schema } = inventoryItem.commands['discontinue-item']
  expect(schema.parse({ sku: 'Ω/1 – 雪' })).toEqual({ sku: 'Ω/1 – 雪' })
  expect(schema.parse({ sku: 'Cafe\u0301' })).toEqual(schema.parse({ sku: 'Caf\u00e9' }))
})
