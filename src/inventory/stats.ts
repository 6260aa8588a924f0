import { defineProjection } from '../kernel/projection.ts'
import { itemEvents } from './events.ts'

/** Counters over the whole inventory. */
export interface InventoryStats {
  readonly items: number
  readonly discontinued: number
  readonly unitsInStock: number
  readonly unitsSold: number
  readonly unitsRestocked: number
  readonly sales: number
  readonly revenueCents: number
}

/** The key of the only document. */
export const STATS_KEY = 'all'

const key = () => STATS_KEY

export const noStats: InventoryStats = {
  items: 0,
  discontinued: 0,
  unitsInStock: 0,
  unitsSold: 0,
  unitsRestocked: 0,
  sales: 0,
  revenueCents: 0,
}

/** Aggregate counters: one document for everything. */
export const inventoryStats = defineProjection({
  name: 'inventory-stats',
  events: itemEvents,
  initial: () => noStats,
}).on({
  'inventory-item-added': {
    key,
    apply: (stats, { data }) => ({
      ...stats,
      items: stats.items + 1,
      unitsInStock: stats.unitsInStock + data.quantity,
    }),
  },
  'inventory-item-sold': {
    key,
    apply: (stats, { data }) => ({
      ...stats,
      unitsInStock: stats.unitsInStock - data.quantity,
      unitsSold: stats.unitsSold + data.quantity,
      sales: stats.sales + 1,
      revenueCents: stats.revenueCents + data.totalCents,
    }),
  },
  'inventory-item-restocked': {
    key,
    apply: (stats, { data }) => ({
      ...stats,
      unitsInStock: stats.unitsInStock + data.quantity,
      unitsRestocked: stats.unitsRestocked + data.quantity,
    }),
  },
  'inventory-item-discontinued': {
    key,
    apply: (stats) => ({ ...stats, discontinued: stats.discontinued + 1 }),
  },
})
