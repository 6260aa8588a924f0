import type { RecordedEvent } from '../kernel/event.ts'

/** What the views must hold after some events; keys of maps are SKUs. */
export interface ExpectedViews {
  readonly list: Map<string, Record<string, unknown> & { stock: number }>
  readonly stats: Record<string, number>
  /** The documents of the reactor. */
  readonly watched: Map<string, Record<string, unknown>>
  /** Idempotency keys of the alerts, in order. */
  readonly alerts: string[]
  /** Positions at which more was sold than there was. */
  readonly oversold: number[]
}

interface EventData {
  sku: string
  quantity: number
  totalCents: number
  priceCents: number
  lowStockThreshold: number
  name: string
  category: string
}

/**
 * Folds the log into what the inventory's views should be: one plain loop that shares nothing with the projections, so
 * that it does not repeat their mistakes.
 */
export function foldInventory(events: readonly RecordedEvent[]): ExpectedViews {
  const stock = new Map<string, number>()
  const low = new Map<string, boolean>()
  const views: ExpectedViews = {
    list: new Map(),
    stats: {
      items: 0,
      discontinued: 0,
      unitsInStock: 0,
      unitsSold: 0,
      unitsRestocked: 0,
      sales: 0,
      revenueCents: 0,
    },
    watched: new Map(),
    alerts: [],
    oversold: [],
  }
  const { stats } = views
  const count = (counter: string, by: number) => {
    stats[counter] = (stats[counter] ?? 0) + by
  }

  for (const { position, type, data } of events) {
    const event = data as EventData
    const { sku } = event
    const item = (views.list.get(sku) ?? {}) as Record<string, number | string>
    const watched = views.watched.get(sku) ?? {}
    const before = stock.get(sku) ?? 0
    let after = before
    switch (type) {
      case 'inventory-item-added': {
        after = event.quantity
        const { name, category, priceCents } = event
        Object.assign(item, { sku, name, category, status: 'active', priceCents })
        Object.assign(item, { unitsSold: 0, revenueCents: 0 })
        Object.assign(watched, { sku, threshold: event.lowStockThreshold })
        count('items', 1)
        break
      }
      case 'inventory-item-sold':
        after = before - event.quantity
        item.unitsSold = Number(item.unitsSold) + event.quantity
        item.revenueCents = Number(item.revenueCents) + event.totalCents
        count('sales', 1)
        count('unitsSold', event.quantity)
        count('revenueCents', event.totalCents)
        break
      case 'inventory-item-restocked':
        after = before + event.quantity
        count('unitsRestocked', event.quantity)
        break
      case 'inventory-price-adjusted':
        item.priceCents = event.priceCents
        break
      case 'inventory-item-discontinued':
        item.status = 'discontinued'
        count('discontinued', 1)
        break
      default:
        throw new Error(`The fold knows no event ${type}.`)
    }
    if (after < 0) views.oversold.push(position)
    count('unitsInStock', after - before)
    stock.set(sku, after)
    views.list.set(sku, { ...item, stock: after })

    if (type === 'inventory-item-discontinued') {
      views.watched.delete(sku)
    } else if (type !== 'inventory-price-adjusted') {
      const isLow = after <= Number(watched.threshold)
      if (isLow && !low.get(sku)) views.alerts.push(`inventory-alert:${position}:1`)
      low.set(sku, isLow)
      views.watched.set(sku, { ...watched, stock: after, alerted: isLow })
    }
  }
  return views
}
