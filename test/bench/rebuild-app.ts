import { z } from 'zod'
import { defineApp } from '../../src/kernel/app.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { defineProjection } from '../../src/kernel/projection.ts'

const Sold = defineEvent({
  type: 'sold',
  schema: z.object({
    sku: z.string(),
    quantity: z.int(),
    priceCents: z.int(),
    customer: z.string(),
    remark: z.string(),
  }),
})

const sales = defineProjection({
  name: 'sales',
  events: [Sold],
  initial: (sku: string) => ({ sku, sold: 0, orders: 0, revenueCents: 0, lastCustomer: '' }),
  indexes: ['sold'],
}).on({
  sold: {
    key: ({ data }) => data.sku,
    apply: (sale, { data }) => ({
      ...sale,
      sold: sale.sold + data.quantity,
      orders: sale.orders + 1,
      revenueCents: sale.revenueCents + data.quantity * data.priceCents,
      lastCustomer: data.customer,
    }),
  },
})

/** What test/bench/rebuild.ts rebuilds. */
export default defineApp({ name: 'sales', deciders: [], projections: [sales], queries: [] })
