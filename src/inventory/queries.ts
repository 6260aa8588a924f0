import { z } from 'zod'
import { defineLogQuery, defineQuery } from '../kernel/query.ts'
import { notFound } from '../kernel/rejection.ts'
import { itemStream } from './item.ts'
import { inventoryList } from './list.ts'
import { inventoryStats, noStats, STATS_KEY } from './stats.ts'
import { line, sku } from './values.ts'

const limit = z.coerce.number().pipe(z.int().min(1).max(500)).default(50)

export const listInventory = defineQuery({
  name: 'list-inventory',
  reads: inventoryList,
  http: { method: 'GET', path: '/inventory' },
  input: z
    .strictObject({
      category: line.optional(),
      status: z.enum(['active', 'discontinued']).optional(),
      sort: z.enum(['name', 'stock', 'unitsSold', 'revenueCents']).optional(),
      order: z.enum(['ascending', 'descending']).default('ascending'),
      limit,
      cursor: z.string().max(1_000).optional(),
    })
    .refine(({ category, status, sort }) => [category, status, sort].filter(Boolean).length <= 1, {
      path: ['sort'],
      message: 'give only one of category, status and sort',
    }),
  run: (view, { category, status, sort, ...page }) => {
    if (category) return view.find({ by: 'category', equals: category, ...page })
    if (status) return view.find({ by: 'status', equals: status, ...page })
    return view.find({ by: sort, ...page })
  },
})

export const getItem = defineQuery({
  name: 'get-item',
  reads: inventoryList,
  http: { method: 'GET', path: '/inventory/:sku' },
  input: z.strictObject({ sku }),
  run: async (view, { sku }) => (await view.get(sku)) ?? unknownItem(sku),
})

export const stats = defineQuery({
  name: 'inventory-stats',
  reads: inventoryStats,
  http: { method: 'GET', path: '/inventory/stats' },
  input: z.strictObject({}),
  run: async (view) => (await view.get(STATS_KEY)) ?? noStats,
})

export const eventHistory = defineLogQuery({
  name: 'event-history',
  http: { method: 'GET', path: '/inventory/:sku/history' },
  input: z.strictObject({ sku, limit, before: z.coerce.number().pipe(z.int().min(1)).optional() }),
  run: async (log, { sku, ...page }) => {
    const events = await log.history(itemStream(sku), page)
    if (events.length === 0 && page.before === undefined) return unknownItem(sku)
    return { sku, events }
  },
})

function unknownItem(sku: string) {
  return notFound('unknown_item', `There is no item with the SKU ${sku}.`)
}
