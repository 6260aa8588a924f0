import { z } from 'zod'
import { defineEvent } from '../kernel/event.ts'
import { cents, quantity, sku } from './values.ts'

/** A product joined the inventory. */
export const ItemAdded = defineEvent({
  type: 'inventory-item-added',
  schema: z.object({
    sku,
    name: z.string(),
    category: z.string(),
    priceCents: cents,
    quantity: quantity.or(z.literal(0)),
    lowStockThreshold: z.int().nonnegative(),
  }),
})

/** Units left the stock and were paid for. */
export const ItemSold = defineEvent({
  type: 'inventory-item-sold',
  schema: z.object({ sku, quantity, totalCents: cents }),
})

/** Units came in. */
export const ItemRestocked = defineEvent({
  type: 'inventory-item-restocked',
  schema: z.object({ sku, quantity }),
})

/** The list price changed; past sales keep their amounts. */
export const PriceAdjusted = defineEvent({
  type: 'inventory-price-adjusted',
  schema: z.object({ sku, priceCents: cents, previousPriceCents: cents }),
})

/** The product is neither sold nor restocked any more. */
export const ItemDiscontinued = defineEvent({
  type: 'inventory-item-discontinued',
  schema: z.object({ sku, reason: z.string().optional() }),
})

/** Every event of an item's stream. */
export const itemEvents = [ItemAdded, ItemSold, ItemRestocked, PriceAdjusted, ItemDiscontinued] as const
