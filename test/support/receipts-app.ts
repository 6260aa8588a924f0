import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { inventoryAlert } from '../../src/inventory/alert.ts'
import { ItemSold } from '../../src/inventory/events.ts'
import { inventoryItem } from '../../src/inventory/item.ts'
import { inventoryList } from '../../src/inventory/list.ts'
import { eventHistory, getItem, listInventory, stats } from '../../src/inventory/queries.ts'
import { inventoryStats } from '../../src/inventory/stats.ts'
import { defineApp } from '../../src/kernel/app.ts'
import { defineReactor } from '../../src/kernel/projection.ts'

/** What was sold of one item. */
interface Receipts {
  readonly sku: string
  readonly sales: number
  readonly quantity: number
}

/** The function that takes receipts; a test plays it. */
export const TAKE_RECEIPT = 'receiver::take'

/** A file of an item's name in this folder makes the handler fail for the item. */
const POISON = process.env.TEST_POISON ?? ''

/** Hands a receipt to somebody for each sale. */
export const saleReceipts = defineReactor({
  name: 'sale-receipts',
  events: [ItemSold],
  initial: (sku: string): Receipts => ({ sku, sales: 0, quantity: 0 }),
}).on({
  'inventory-item-sold': {
    key: ({ data }) => data.sku,
    apply: ({ sku, sales, quantity }, { data }, emit) => {
      if (existsSync(join(POISON, sku))) throw new Error(`${sku} is poisoned`)
      emit({ kind: 'call', functionId: TAKE_RECEIPT, data: { sku, quantity: data.quantity } })
      return { sku, sales: sales + 1, quantity: quantity + data.quantity }
    },
  },
})

/** The inventory with a reactor more, whose handler and whose receiver can be made to fail. */
export default defineApp({
  name: 'inventory',
  deciders: [inventoryItem],
  projections: [inventoryList, inventoryStats],
  reactors: [inventoryAlert, saleReceipts],
  queries: [listInventory, getItem, stats, eventHistory],
})
