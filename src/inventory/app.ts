import { defineApp } from '../kernel/app.ts'
import { inventoryAlert } from './alert.ts'
import { inventoryItem } from './item.ts'
import { inventoryList } from './list.ts'
import { eventHistory, getItem, listInventory, stats } from './queries.ts'
import { inventoryStats } from './stats.ts'

/** The reference application: an inventory that sells, restocks and warns. */
export default defineApp({
  name: 'inventory',
  deciders: [inventoryItem],
  projections: [inventoryList, inventoryStats],
  reactors: [inventoryAlert],
  queries: [listInventory, getItem, stats, eventHistory],
})
