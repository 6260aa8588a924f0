import { defineProjection } from '../kernel/projection.ts'
import { itemEvents } from './events.ts'

/** One line of the inventory list. */
export interface ListedItem {
  readonly sku: string
  readonly name: string
  readonly category: string
  readonly status: 'active' | 'discontinued'
  readonly priceCents: number
  readonly stock: number
  readonly unitsSold: number
  readonly revenueCents: number
}

const key = ({ data }: { data: { sku: string } }) => data.sku

/** The queryable list of items: one document per SKU. */
export const inventoryList = defineProjection({
  name: 'inventory-list',
  events: itemEvents,
  initial: (sku: string): ListedItem => ({
    sku,
    name: '',
    category: '',
    status: 'active',
    priceCents: 0,
    stock: 0,
    unitsSold: 0,
    revenueCents: 0,
  }),
  indexes: ['category', 'status', 'name', 'stock', 'unitsSold', 'revenueCents'],
}).on({
  'inventory-item-added': {
    key,
    apply: (item, { data }) => ({
      ...item,
      name: data.name,
      category: data.category,
      priceCents: data.priceCents,
      stock: data.quantity,
    }),
  },
  'inventory-item-sold': {
    key,
    apply: (item, { data }) => ({
      ...item,
      stock: item.stock - data.quantity,
      unitsSold: item.unitsSold + data.quantity,
      revenueCents: item.revenueCents + data.totalCents,
    }),
  },
  'inventory-item-restocked': {
    key,
    apply: (item, { data }) => ({ ...item, stock: item.stock + data.quantity }),
  },
  'inventory-price-adjusted': {
    key,
    apply: (item, { data }) => ({ ...item, priceCents: data.priceCents }),
  },
  'inventory-item-discontinued': { key, apply: (item) => ({ ...item, status: 'discontinued' }) },
})
