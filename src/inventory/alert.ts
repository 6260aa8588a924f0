import { defineReactor, type Emit } from '../kernel/projection.ts'
import { ItemAdded, ItemDiscontinued, ItemRestocked, ItemSold } from './events.ts'

/** What the reactor remembers of one item. */
interface Watched {
  readonly sku: string
  readonly stock: number
  readonly threshold: number
  /** An alert went out and the stock has not recovered since. */
  readonly alerted: boolean
}

/** Where low-stock alerts are published: `{sku, stock, threshold}`. */
export const LOW_STOCK_TOPIC = 'alerts.low-stock'

const key = ({ data }: { data: { sku: string } }) => data.sku

/** Publishes one alert each time an item's stock falls to its threshold or below. */
export const inventoryAlert = defineReactor({
  name: 'inventory-alert',
  events: [ItemAdded, ItemSold, ItemRestocked, ItemDiscontinued],
  initial: (sku: string): Watched => ({ sku, stock: 0, threshold: 0, alerted: false }),
}).on({
  'inventory-item-added': {
    key,
    apply: (item, { data }, emit) =>
      watch({ ...item, threshold: data.lowStockThreshold }, data.quantity, emit),
  },
  'inventory-item-sold': {
    key,
    apply: (item, { data }, emit) => watch(item, item.stock - data.quantity, emit),
  },
  'inventory-item-restocked': {
    key,
    apply: (item, { data }, emit) => watch(item, item.stock + data.quantity, emit),
  },
  'inventory-item-discontinued': { key, apply: () => null },
})

function watch(item: Watched, stock: number, emit: Emit): Watched {
  const low = stock <= item.threshold
  if (low && !item.alerted) {
    emit({
      kind: 'publish',
      topic: LOW_STOCK_TOPIC,
      data: { sku: item.sku, stock, threshold: item.threshold },
    })
  }
  return { ...item, stock, alerted: low }
}
