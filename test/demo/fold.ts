import type { OrderLine, Product } from './superstore.ts'

/** What is known of one product when all is done. */
export interface Tally {
  readonly name: string
  stock: number
  unitsSold: number
  revenueCents: number
}

/** What the system must have arrived at. */
export interface Expected {
  readonly products: ReadonlyMap<string, Tally>
  readonly accepted: number
  readonly refused: number
  /** The products that fell to their threshold or began there; stock never grows, so each does it once. */
  readonly alerts: ReadonlySet<string>
  readonly totals: Totals
}

/** The sums over all products. */
export interface Totals {
  readonly items: number
  readonly unitsInStock: number
  readonly unitsSold: number
  readonly sales: number
  readonly revenueCents: number
}

/**
 * Works out in the plainest way what must come of the lines: no events, no code of the system. Products are
 * independent of each other, so only the order of the lines of one product matters.
 */
export function foldLines(products: readonly Product[], lines: readonly OrderLine[]): Expected {
  const tallies = new Map<string, Tally>()
  const thresholds = new Map<string, number>()
  const alerts = new Set<string>()
  for (const { sku, name, initialStock, lowStockThreshold } of products) {
    tallies.set(sku, { name, stock: initialStock, unitsSold: 0, revenueCents: 0 })
    thresholds.set(sku, lowStockThreshold)
    if (initialStock <= lowStockThreshold) alerts.add(sku)
  }
  let accepted = 0
  for (const { sku, quantity, totalCents } of lines) {
    const tally = tallies.get(sku)
    if (!tally || tally.stock < quantity) continue
    accepted += 1
    tally.stock -= quantity
    tally.unitsSold += quantity
    tally.revenueCents += totalCents
    if (tally.stock <= (thresholds.get(sku) ?? 0)) alerts.add(sku)
  }
  const sum = (field: 'stock' | 'unitsSold' | 'revenueCents') =>
    tallies.values().reduce((total, tally) => total + tally[field], 0)
  return {
    products: tallies,
    accepted,
    refused: lines.length - accepted,
    alerts,
    totals: {
      items: tallies.size,
      unitsInStock: sum('stock'),
      unitsSold: sum('unitsSold'),
      sales: accepted,
      revenueCents: sum('revenueCents'),
    },
  }
}
